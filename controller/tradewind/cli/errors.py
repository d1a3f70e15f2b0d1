"""Errors of the command line: one clear line on stderr, never a traceback, and exit code 2 for bad input."""

from typing import IO, Any

import click

from tradewind.cli.colours import paint

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_SIGNAL = 128
"""Plus the number of the signal that stopped the command, as a shell reports it."""
NEXT_LINE = "\n       "
"""Separates the lines of a message, and indents them under the first."""


class CliError(click.ClickException):
    """Bad input, or a cluster that cannot be used. The message names the problem, the place and the fix."""

    exit_code = EXIT_BAD_INPUT

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"{paint('error:', 'red', err=True)} {self.format_message()}", file=file, err=True, color=True)
