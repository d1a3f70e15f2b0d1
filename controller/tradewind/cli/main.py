"""Entry point of `tradewind` and `kubectl tradewind`: the list of commands, each imported on first use."""

import difflib
import importlib
import signal
import sys
from pathlib import PurePath

import click
from click.shell_completion import CompletionItem

from tradewind.cli import streams
from tradewind.cli.errors import EXIT_SIGNAL, CliError

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "On this machine": {
        "run": ("tradewind.cli.local.run:run", "Run a Dag on this machine, with tasks as local processes."),
        "validate": ("tradewind.cli.validate:validate", "Check Dag files and list all problems."),
        "simulate": ("tradewind.cli.simulate:simulate", "Simulate a run of a Dag in virtual time."),
        "next": ("tradewind.cli.next:next_runs", "Show the next scheduled runs of a Dag."),
    },
    "On the cluster": {
        "list": ("tradewind.cli.cluster.list:list_dags", "List the Dags."),
        "trigger": ("tradewind.cli.cluster.trigger:trigger", "Start a run of a Dag now."),
        "runs": ("tradewind.cli.cluster.runs:runs", "List the runs, newest first."),
        "status": ("tradewind.cli.cluster.status:status", "Show a run and each of its tasks."),
        "explain": ("tradewind.cli.cluster.explain:explain_command", "Explain why a run or a task waits or failed."),
        "logs": ("tradewind.cli.cluster.logs:logs", "Print the logs of a run, or of one task."),
        "rerun": ("tradewind.cli.cluster.rerun:rerun", "Run tasks of a run again."),
        "mark": ("tradewind.cli.cluster.mark:mark", "Set the state of tasks, or of a run."),
        "stop": ("tradewind.cli.cluster.stop:stop", "Stop a run, and skip its unfinished tasks."),
        "backfill": ("tradewind.cli.cluster.backfill.backfill:backfill", "Run a Dag for a time span in the past."),
        "pause": ("tradewind.cli.cluster.pause:pause", "Pause the schedule of a Dag, or one run."),
        "resume": ("tradewind.cli.cluster.resume:resume", "Resume a paused Dag, or a paused run."),
    },
    "In the cluster (used by the chart)": {
        "controller": ("tradewind.controller.process.process:main_command", "Run the controller."),
        "release-finalizers": (
            "tradewind.controller.process.finalizers:release_command",
            "Remove Tradewind's finalizers before an uninstall.",
        ),
    },
    "About tradewind": {
        "completion": ("tradewind.cli.completion:completion", "Print the completion script for a shell."),
        "version": ("tradewind.cli.version:version", "Print the version."),
    },
}

OTHER_NAMES = {
    "get": "list or runs",
    "dags": "list",
    "describe": "status",
    "tasks": "status",
    "watch": "status",
    "submit": "trigger",
    "lint": "validate",
    "test": "run",
    "clear": "rerun",
    "retry": "rerun",
    "terminate": "stop",
    "suspend": "pause",
    "unpause": "resume",
}
"""The names that kubectl, airflow and argo use for a command."""

EXAMPLES = """\b
Examples:
  tradewind run examples/hello.yaml            run a Dag on this machine
  tradewind validate dags/                     check all Dag files in a folder
  tradewind trigger daily-sales --follow       run a Dag on the cluster and watch it
  tradewind logs daily-sales-x7k2p extract     print a task's log
  tradewind rerun daily-sales-x7k2p extract    run a task again
"""


class LazyGroup(click.Group):
    """Commands by name. A command is imported when it is called; the list of commands imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for section in SECTIONS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for section in SECTIONS.values():
            if cmd_name in section:
                return _load(cmd_name, section[cmd_name][0])
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not ctx.resilient_parsing and not name.startswith("-") and self.get_command(ctx, name) is None:
            near = OTHER_NAMES.get(name) or " or ".join(difflib.get_close_matches(name, self.list_commands(ctx), n=2))
            ctx.fail(f"no command {name!r}" + (f"; did you mean {near}?" if near else ""))
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        commands = [(name, text) for section in SECTIONS.values() for name, (_, text) in section.items()]
        found = [CompletionItem(name, help=text) for name, text in commands if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, text) in commands.items()])


def _load(name: str, place: str) -> click.Command:
    module_name, _, attribute = place.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and not (module_name + ".").startswith(error.name + "."):
            raise
        raise CliError(f"this build of tradewind has no command {name!r}") from error
    command = getattr(module, attribute)
    if not isinstance(command, click.Command):
        raise TypeError(f"{place} is not a command")
    return command


@click.group(
    cls=LazyGroup,
    help="Workflows as Kubernetes resources: run Dags on this machine, or manage them on a cluster.",
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(None, "-V", "--version", package_name="tradewind", message="tradewind %(version)s")
def cli() -> None:
    """The root of all commands."""


def main() -> None:
    """Run the command line of this process and exit."""
    streams.wrap_standard_streams()
    is_plugin = PurePath(sys.argv[0]).name.startswith("kubectl-")
    sys.exit(_run("kubectl tradewind" if is_plugin else "tradewind"))


def _run(name: str) -> int:
    """Run the command line and return its exit code. Flushes the output however the command exits."""
    code = 0
    try:
        found = cli.main(prog_name=name, complete_var="_TRADEWIND_COMPLETE", standalone_mode=False)
        code = found if isinstance(found, int) else 0
        streams.flush()
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.Abort:
        click.echo("stopped by Ctrl-C", err=True)
        code = EXIT_SIGNAL + signal.SIGINT
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    try:
        streams.flush()
    except streams.OutputError as error:
        error.show()
        code = code or error.exit_code
    return code
