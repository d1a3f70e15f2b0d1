"""Shared by `tradewind rerun`, `mark` and `stop`: their options, and sending a request to a run."""

import uuid
from collections.abc import Callable
from typing import Any, TypeVar

import click

from tradewind.api.run_request import MAX_USER, RunRequest
from tradewind.api.validation import Problem, check_request
from tradewind.api.validation.shape import parse
from tradewind.cli.cluster import completions
from tradewind.cli.cluster.client import Cluster
from tradewind.cli.cluster.dry_run import preview
from tradewind.cli.cluster.requests import as_command, send_request, wait_for_result
from tradewind.cli.cluster.run_revision import RunDag, dag_now, dag_of_run
from tradewind.cli.colours import paint
from tradewind.cli.errors import EXIT_FAILED, CliError
from tradewind.cli.output import Format, print_data

F = TypeVar("F", bound=Callable[..., Any])
_OPTIONS = {"state": "--state", "message": "--message"}


def task_options(command: F) -> F:
    """The argument and options that select tasks."""
    for decorate in (
        click.option("--downstream", is_flag=True, help="Also select tasks downstream of those named."),
        click.option("--upstream", is_flag=True, help="Also select tasks upstream of those named."),
        click.option(
            "--only-failed",
            is_flag=True,
            help="Of these, only tasks that failed, or did not run because others failed.",
        ),
        click.argument("tasks", nargs=-1, metavar="[TASK]...", shell_complete=completions.tasks),
    ):
        command = decorate(command)
    return command


def request_options(command: F) -> F:
    """The options of every request."""
    for decorate in (
        click.option("--no-wait", is_flag=True, help="Do not wait for the result."),
        click.option("--dry-run", is_flag=True, help="Change nothing; show what would change."),
        click.option("-m", "--message", metavar="TEXT", help="The reason, which is recorded with the request."),
    ):
        command = decorate(command)
    return command


def send(
    context: click.Context,
    cluster: Cluster,
    name: str,
    fields: dict[str, Any],
    *,
    dry_run: bool,
    no_wait: bool,
    output: Format,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Send a request and report its result. Returns the run before and after.

    Exits 1 if the request is rejected; a dry run always exits.
    """
    before = cluster.get("DagRun", name)
    request = {"id": str(uuid.uuid4())} | {field: value for field, value in fields.items() if value}
    user = None if dry_run else cluster.user()
    if user:
        request["requestedBy"] = user[:MAX_USER]
    dag = latest = None
    if dry_run or "tasks" in request:
        # Stopping a run needs no Dag: it may be deleted.
        dag = dag_of_run(cluster, before)
        latest = dag_now(cluster, before) if request.get("revision") == "Latest" else None
    parsed = _check(request, latest or dag)
    if dry_run and dag is not None:
        context.exit(0 if preview(before, parsed, dag, latest, output) else EXIT_FAILED)
    run = send_request(cluster, before, request)
    if no_wait:
        click.echo(f"{name}: requested: {as_command(request)}", err=output != "table")
        return before, run
    run, record = wait_for_result(cluster, name, request["id"])
    if record["state"] != "Applied":
        click.echo(f"{paint('rejected:', 'red', err=True)} {record.get('message', '')}", err=True)
        print_run(run, output)
        context.exit(EXIT_FAILED)
    click.echo(f"{name}: {record.get('message', '')}", err=output != "table")
    return before, run


def _check(request: dict[str, Any], dag: RunDag | None) -> RunRequest:
    """Return the parsed request. Raises CliError that lists all problems, before anything is written."""
    parsed, problems = parse(RunRequest, request)
    if parsed is not None:
        # If the revision of the run cannot be read, names of tasks are left to the controller.
        problems = check_request(parsed, dag.spec if dag and dag.exact else None)
    if parsed is None or problems:
        raise CliError("\n       ".join(map(_in_options, problems)))
    return parsed


def _in_options(problem: Problem) -> str:
    field = problem.field.removeprefix("spec.request.").partition("[")[0]
    option = _OPTIONS.get(field, "TASK" if field == "tasks" else field)
    return f"{option}: {problem.message}"


def print_run(run: dict[str, Any], output: Format) -> None:
    if output != "table":
        print_data(run, output)
