"""`tradewind rerun`, `mark` and `stop`: ask something of a run, and see what becomes of it."""

import uuid
from collections.abc import Callable
from typing import Any, TypeVar

import click

from tradewind.api.run_request import MAX_USER, RunRequest
from tradewind.api.validation import Problem, check_request
from tradewind.api.validation.shape import parse
from tradewind.cli.cluster import completions, progress
from tradewind.cli.cluster.client import Cluster, cluster_options
from tradewind.cli.cluster.foresee import foresee
from tradewind.cli.cluster.requests import answer_to, ask, in_words
from tradewind.cli.cluster.run_versions import RunDag, dag_now, dag_of_run
from tradewind.cli.colours import paint
from tradewind.cli.errors import EXIT_FAILED, CliError
from tradewind.cli.output import Format, output_option, print_data

F = TypeVar("F", bound=Callable[..., Any])
_OPTIONS = {"state": "--state", "message": "--message"}


def _which_tasks(command: F) -> F:
    """The argument and options that say which tasks are meant."""
    for decorate in (
        click.option("--downstream", is_flag=True, help="Also the tasks after those named."),
        click.option("--upstream", is_flag=True, help="Also the tasks before those named."),
        click.option(
            "--only-failed", is_flag=True, help="Of these only what failed, or did not run because others failed."
        ),
        click.argument("tasks", nargs=-1, metavar="[TASK]...", shell_complete=completions.tasks),
    ):
        command = decorate(command)
    return command


def _how(command: F) -> F:
    """The options that all requests have."""
    for decorate in (
        click.option("--no-wait", is_flag=True, help="Do not wait for the answer of the controller."),
        click.option("--dry-run", is_flag=True, help="Ask for nothing: show what would be changed."),
        click.option("-m", "--message", metavar="TEXT", help="Why, for those who read the record."),
    ):
        command = decorate(command)
    return command


@click.command()
@click.argument("run", shell_complete=completions.runs)
@_which_tasks
@click.option("--latest", is_flag=True, help="With the Dag as it is now, not as it was when the run began.")
@_how
@click.option("--wait", is_flag=True, help="Wait for the end of the run; exit 1 if it failed.")
@click.option("-f", "--follow", is_flag=True, help="Wait, and show what happens on the way.")
@cluster_options
@output_option("table", "json", "yaml")
@click.pass_context
def rerun(
    context: click.Context,
    cluster: Cluster,
    run: str,
    tasks: tuple[str, ...],
    only_failed: bool,
    upstream: bool,
    downstream: bool,
    latest: bool,
    message: str | None,
    dry_run: bool,
    no_wait: bool,
    wait: bool,
    follow: bool,
    output: Format,
) -> None:
    """Run tasks of a run again, whether or not it has ended.

    TASK is a task, a group, or `task[3]` for one instance of a mapped one. Default: all tasks. Their tries so far are
    kept, and each may be tried as often as before. Exits 0 when it was done or, with --wait or --follow, when the run
    succeeded then; 1 when it was refused, or the run failed; 2 when it cannot be asked for.
    """
    asked = {
        "type": "Rerun",
        "tasks": list(dict.fromkeys(tasks)),
        "onlyFailed": only_failed,
        "upstream": upstream,
        "downstream": downstream,
        "revision": "Latest" if latest else None,
        "message": message,
    }
    if no_wait and (wait or follow):
        raise CliError("--no-wait does not go with --wait or --follow")
    before, found = _carry_out(context, cluster, run, asked, dry_run=dry_run, no_wait=no_wait, output=output)
    if wait or follow:
        found = progress.follow(cluster, run, quiet=not follow, since=before)
        click.echo(progress.summary(found), err=output != "table")
    _print_run(found, output)
    if (wait or follow) and found["status"]["phase"] != "Succeeded":
        context.exit(EXIT_FAILED)


@click.command()
@click.argument("run", shell_complete=completions.runs)
@_which_tasks
@click.option(
    "--state",
    required=True,
    type=click.Choice(["Succeeded", "Failed", "Skipped"], case_sensitive=False),
    help="The state to set.",
)
@_how
@cluster_options
@output_option("table", "json", "yaml")
@click.pass_context
def mark(
    context: click.Context,
    cluster: Cluster,
    run: str,
    tasks: tuple[str, ...],
    only_failed: bool,
    upstream: bool,
    downstream: bool,
    state: str,
    message: str | None,
    dry_run: bool,
    no_wait: bool,
    output: Format,
) -> None:
    """Set the state of tasks, or of a run as a whole.

    TASK is a task, a group, or `task[3]` for one instance of a mapped one; without any, the run as a whole is meant.
    What runs of them ends. What did not run because they failed gets its turn then. Exits 0 when it was done, 1 when it
    was refused, 2 when it cannot be asked for.
    """
    asked = {
        "type": "Mark",
        "tasks": list(dict.fromkeys(tasks)),
        "state": state,
        "onlyFailed": only_failed,
        "upstream": upstream,
        "downstream": downstream,
        "message": message,
    }
    if not tasks and (upstream or downstream):
        raise CliError("--upstream and --downstream need the name of a task")
    _, found = _carry_out(context, cluster, run, asked, dry_run=dry_run, no_wait=no_wait, output=output)
    _print_run(found, output)


@click.command()
@click.argument("run", shell_complete=completions.runs)
@_how
@click.option("--wait", is_flag=True, help="Wait for the end of the run: its teardowns still run.")
@cluster_options
@output_option("table", "json", "yaml")
@click.pass_context
def stop(
    context: click.Context,
    cluster: Cluster,
    run: str,
    message: str | None,
    dry_run: bool,
    no_wait: bool,
    wait: bool,
    output: Format,
) -> None:
    """End a run: its Pods are deleted, what has not begun is skipped.

    Teardowns of what was set up still run; asked a second time, they end too. Exits 0 when it was done, 1 when it was
    refused, 2 when it cannot be asked for.
    """
    if no_wait and wait:
        raise CliError("--no-wait does not go with --wait")
    asked = {"type": "Stop", "message": message}
    _, found = _carry_out(context, cluster, run, asked, dry_run=dry_run, no_wait=no_wait, output=output)
    if wait:
        found = progress.follow(cluster, run, quiet=True)
        click.echo(progress.summary(found), err=output != "table")
    _print_run(found, output)


def _carry_out(
    context: click.Context,
    cluster: Cluster,
    name: str,
    asked: dict[str, Any],
    *,
    dry_run: bool,
    no_wait: bool,
    output: Format,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ask, and say what became of it: the run before and after. Exits 1 if it was refused; a dry run exits in any
    case."""
    before = cluster.get("DagRun", name)
    request = {"id": str(uuid.uuid4())} | {field: value for field, value in asked.items() if value}
    user = None if dry_run else cluster.user()
    if user:
        request["requestedBy"] = user[:MAX_USER]
    dag = now = None
    if dry_run or "tasks" in request:
        # A run can be stopped though its Dag is gone.
        dag = dag_of_run(cluster, before)
        now = dag_now(cluster, before) if request.get("revision") == "Latest" else None
    parsed = _check(request, now or dag)
    if dry_run and dag is not None:
        context.exit(0 if foresee(before, parsed, dag, now, output) else EXIT_FAILED)
    run = ask(cluster, before, request)
    if no_wait:
        click.echo(f"{name}: asked for, not waited for: {in_words(request)}", err=output != "table")
        return before, run
    run, record = answer_to(cluster, name, request["id"])
    if record["state"] != "Applied":
        click.echo(f"{paint('refused:', 'red', err=True)} {record.get('message', '')}", err=True)
        _print_run(run, output)
        context.exit(EXIT_FAILED)
    click.echo(f"{name}: {record.get('message', '')}", err=output != "table")
    return before, run


def _check(request: dict[str, Any], dag: RunDag | None) -> RunRequest:
    """The request. Raises CliError with all that is wrong, before anything is written."""
    parsed, problems = parse(RunRequest, request)
    if parsed is not None:
        # Of a Dag that only stands in for another one, names say nothing: the controller knows.
        problems = check_request(parsed, dag.spec if dag and dag.exact else None)
    if parsed is None or problems:
        raise CliError("\n       ".join(map(_in_options, problems)))
    return parsed


def _in_options(problem: Problem) -> str:
    field = problem.field.removeprefix("spec.request.").partition("[")[0]
    option = _OPTIONS.get(field, "TASK" if field == "tasks" else field)
    return f"{option}: {problem.message}"


def _print_run(run: dict[str, Any], output: Format) -> None:
    if output != "table":
        print_data(run, output)
