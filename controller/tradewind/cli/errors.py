"""How the command line fails: one clear line on stderr, never a traceback, and exit code 2 for bad input."""

from typing import IO, Any

import click

from tradewind.cli.colours import paint

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_SIGNAL = 128
"""And the number of the signal that stopped it, as a shell says it."""
NEXT_LINE = "\n       "
"""Between the lines of a message, so that they stand under the first."""


class CliError(click.ClickException):
    """Bad input, or a cluster that cannot be used: says what, where and how to put it right."""

    exit_code = EXIT_BAD_INPUT

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"{paint('error:', 'red', err=True)} {self.format_message()}", file=file, err=True, color=True)
