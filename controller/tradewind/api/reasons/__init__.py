"""Every reason of conditions, runs, tasks, tries and Events: its meaning and the fix. docs/reference/reasons.md is
generated from it.

section.py       the types
definitions.py   an object is not accepted
dags.py          conditions and Events of a Dag
runs.py          phase, conditions and Events of a DagRun
backfills.py     phase, conditions and Events of a Backfill
tasks.py         a task waits, is skipped, or fails
lost.py          a try is lost through no fault of the task
kubernetes.py    reasons that Kubernetes gives and that are passed on

Reasons are a contract: scripts and alerts compare them. A test compares these tables with the code.
"""

from tradewind.api.reasons.backfills import BACKFILLS
from tradewind.api.reasons.dags import DAGS
from tradewind.api.reasons.definitions import DEFINITIONS
from tradewind.api.reasons.kubernetes import KUBERNETES
from tradewind.api.reasons.lost import LOST
from tradewind.api.reasons.runs import RUNS
from tradewind.api.reasons.section import Reason, Section
from tradewind.api.reasons.tasks import FAILED, SKIPPED, WAITING, WAITING_FOR

SECTIONS: tuple[Section, ...] = (
    DEFINITIONS,
    DAGS,
    RUNS,
    WAITING,
    WAITING_FOR,
    SKIPPED,
    FAILED,
    LOST,
    KUBERNETES,
    BACKFILLS,
)

REASONS: dict[str, Reason] = {name: reason for section in SECTIONS for name, reason in section.reasons.items()}
"""All reasons by name; a reason of several kinds of objects is in the section of the first."""

__all__ = ["REASONS", "SECTIONS", "Reason", "Section"]
