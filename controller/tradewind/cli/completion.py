"""`tradewind completion`: the script with which a shell completes commands and options."""

import click
from click.shell_completion import get_completion_class

from tradewind.cli.errors import CliError

_PROGRAM = "tradewind"
_VARIABLE = "_TRADEWIND_COMPLETE"


@click.command(
    epilog="""\b
Load it in every new shell:
  bash   tradewind completion bash > ~/.local/share/bash-completion/completions/tradewind
  zsh    tradewind completion zsh > "${fpath[1]}/_tradewind"
  fish   tradewind completion fish > ~/.config/fish/completions/tradewind.fish
"""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for a shell."""
    found = get_completion_class(shell)
    root = click.get_current_context().find_root().command
    if found is None:
        raise CliError(f"there is no completion for {shell}")
    click.echo(found(root, {}, _PROGRAM, _VARIABLE).source())
