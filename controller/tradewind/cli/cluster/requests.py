"""Requests to a run (rerun, mark, stop): written to its spec, with the result in its status."""

import shlex
import textwrap
import time
from collections.abc import Mapping
from typing import Any

import click

from tradewind.cli.cluster.client import Cluster, ConflictError
from tradewind.cli.errors import EXIT_FAILED, CliError

_POLL_SECONDS = 0.5
_NOTICE_SECONDS = 10.0
"""Time without a result after which the command reports that it is waiting."""
_ATTEMPTS = 5
_MOST_TASKS = 5
_MOST_TEXT = 40
_NO_REQUEST = '{"spec":{"request":null}}'
_FLAGS = {"onlyFailed": "--only-failed", "upstream": "--upstream", "downstream": "--downstream"}


def as_command(request: Mapping[str, Any]) -> str:
    """Return a request, or the record of one, as its command: `rerun load --downstream`."""
    tasks = [str(task) for task in request.get("tasks") or ()]
    words = [str(request["type"]).lower(), *tasks[:_MOST_TASKS]]
    if len(tasks) > _MOST_TASKS:
        words.append(f"(and {len(tasks) - _MOST_TASKS} more)")
    # In a record, `state` and `message` are those of the result.
    recorded = request.get("state") in ("Applied", "Rejected")
    state = request.get("requestedState") if recorded else request.get("state")
    if state:
        words += ["--state", str(state).lower()]
    words += [flag for name, flag in _FLAGS.items() if request.get(name)]
    if request.get("revision") == "Latest":
        words.append("--latest")
    message = str(request.get("requestMessage" if recorded else "message") or "")
    if message:
        words += ["-m", shlex.quote(textwrap.shorten(message, _MOST_TEXT, placeholder=" …"))]
    return " ".join(words)


def record_row(record: Mapping[str, Any]) -> list[str]:
    """Return `[request, by, time, result, message]` of an entry of DagRun.status.requests."""
    by, when = str(record.get("requestedBy") or "-"), str(record.get("time") or "-")
    return [as_command(record), by, when, str(record["state"]), str(record.get("message") or "")]


def send_request(cluster: Cluster, run: Mapping[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """Write a request to a run, and return the updated run.

    Raises CliError if another request is pending or the run was deleted meanwhile.
    """
    name, uid = run["metadata"]["name"], run["metadata"]["uid"]
    # The UID makes the patch fail if the run was recreated. The API server rejects a second pending request.
    body = {"metadata": {"uid": uid}, "spec": {"request": request}}
    for attempt in range(_ATTEMPTS):
        _check_pending(cluster, run)
        try:
            return cluster.patch("DagRun", name, body)
        except CliError as error:
            run = cluster.get("DagRun", name)
            if run["metadata"]["uid"] != uid:
                raise CliError(f"run {name!r} was deleted and recreated meanwhile") from error
            if (run["spec"].get("request") or {}).get("id") == request["id"] or _record(run, request["id"]):
                return dict(run)  # the patch succeeded, only its response was lost
            _check_pending(cluster, run)
            if not isinstance(error, ConflictError) or attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("not reached")


def wait_for_result(cluster: Cluster, name: str, request_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Wait for the result of a request, and return (run, record of the request).

    Raises CliError if the request was withdrawn.
    """
    since, noticed = time.monotonic(), False
    try:
        while True:
            run = cluster.get("DagRun", name)
            record = _record(run, request_id)
            if record is not None:
                return run, record
            if (run["spec"].get("request") or {}).get("id") != request_id:
                raise CliError(f"the request was withdrawn before it was applied; see {_status(cluster, name)}")
            if not noticed and time.monotonic() - since > _NOTICE_SECONDS:
                noticed = True
                click.echo(f"waiting for the controller: {_why(run)}", err=True)
            time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        click.echo(f"\nthe request is pending; see {_status(cluster, name)}", err=True)
        raise click.exceptions.Exit(EXIT_FAILED) from None


def _record(run: Mapping[str, Any], request_id: str) -> dict[str, Any] | None:
    """Return the record of a request; None while the request is pending."""
    records = (run.get("status") or {}).get("requests") or ()
    return next((record for record in records if record["id"] == request_id), None)


def _check_pending(cluster: Cluster, run: Mapping[str, Any]) -> None:
    pending = run["spec"].get("request")
    if pending:
        name = run["metadata"]["name"]
        withdraw = f"kubectl patch dr {name} -n {cluster.namespace} --type=merge -p '{_NO_REQUEST}'"
        raise CliError(
            f"run {name!r} has a pending request: {as_command(pending)}"
            f"{_by(pending)}. Try again when it is applied, or withdraw it:\n       {withdraw}"
        )


def _why(run: Mapping[str, Any]) -> str:
    """Return why there may be no result yet: the run waits for something, or no controller is running."""
    message = str((run.get("status") or {}).get("message") or "")
    return message if message.startswith("wait") else "is it running?"


def _by(request: Mapping[str, Any]) -> str:
    return f", requested by {request['requestedBy']}" if request.get("requestedBy") else ""


def _status(cluster: Cluster, name: str) -> str:
    return f"`tradewind status {name} -n {cluster.namespace}`"
