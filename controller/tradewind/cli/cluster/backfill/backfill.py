"""`tradewind backfill`: the group of its commands."""

import click

from tradewind.cli.cluster.backfill.create import create
from tradewind.cli.cluster.backfill.delete import delete
from tradewind.cli.cluster.backfill.list import list_backfills
from tradewind.cli.cluster.backfill.pause import pause
from tradewind.cli.cluster.backfill.resume import resume
from tradewind.cli.cluster.backfill.status import status

EXAMPLES = """\b
Examples:
  tradewind backfill create daily-sales --from 2026-01-01 --to 2026-01-31 --dry-run
  tradewind backfill create daily-sales --from 2026-01-01 --to 2026-01-31 --follow
  tradewind backfill create daily-sales --from 2026-01-01 --to 2026-01-31 --reprocess failed
"""


@click.group(epilog=EXAMPLES)
def backfill() -> None:
    """Run a Dag for a time span in the past."""


for _command in (create, list_backfills, status, pause, resume, delete):
    backfill.add_command(_command)
