"""The targets of inputs. Each takes one and returns; an exception other than the expected error is a finding.

A target looks at what came out as far as something must hold of it: that a template's text fits, that a Dag which was
accepted can be run.
"""

import io
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Any

import orjson

from tests.fuzz import seeds
from tests.fuzz.inputs import Maker
from tradewind.api.dag import DagSpec
from tradewind.api.resolve import ResolvedDag, resolve
from tradewind.api.templates import MAX_RENDERED, TemplateError, references, render
from tradewind.api.validation import (
    summary,
    validate_backfill,
    validate_dag,
    validate_dag_run,
    validate_pool,
)
from tradewind.api.validation.params import check_param_schemas, check_params
from tradewind.api.variables import Variables, variable_uses
from tradewind.cache.observation import observe, run_uid_of, try_of
from tradewind.cache.resources import DagRunObject, PodObject
from tradewind.cli.documents import read_documents
from tradewind.cli.errors import CliError
from tradewind.controller.pods.manifest import pod_manifest
from tradewind.engine.rules.rendering import render_task
from tradewind.engine.run.index_set import IndexSet
from tradewind.engine.run.run_info import RunInfo
from tradewind.engine.run.state import RunState
from tradewind.engine.run.tries import TryEvent, TryReport
from tradewind.engine.schedule.due import upcoming
from tradewind.engine.scheduler import Scheduler
from tradewind.engine.status.check import UnusableStatus, check_status
from tradewind.engine.status.restore import load
from tradewind.engine.status.run_status import run_status
from tradewind.engine.transitions import try_lifecycle
from tradewind.kube.decoding import MalformedStream, decoder_for
from tradewind.kube.errors import ApiError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STEPS = 6
"""Rounds of a run that is played: enough for a task, a branch and what is mapped over their outputs."""
VALUES: dict[str, Any] = {
    "ds": "2026-01-31",
    "params": {"region": "eu", "rows": list(range(300)), "text": "x" * 3000, "p": [["a"], {"b": None}]},
    "tasks": {"a": {"output": {"rows": [1, 2]}}},
    "vars": Variables({"a": {"b": "c"}}),
    "item": {"x": 1},
    "index": 3,
}


def template(make: Maker) -> None:
    text = make.template() if make.random.random() < 0.7 else "{{ " + make.template() + " }}"
    if make.random.random() < 0.2:
        text = make.text() + text
    try:
        references(text)
        list(variable_uses(text))
        rendered = render(text, VALUES)
    except TemplateError as error:
        assert str(error)
        return
    assert len(rendered.encode(errors="surrogatepass")) <= MAX_RENDERED


def dag(make: Maker) -> None:
    spec = make.bent(make.random.choice(seeds.DAGS), json=make.random.random() < 0.9)
    manifest = make.bent(_manifest("Dag", spec), 1) if make.random.random() < 0.1 else _manifest("Dag", spec)
    found, problems = validate_dag(manifest)
    if found is None or problems:
        assert problems
        assert summary(problems)
        return
    _play(make, resolve(found.spec))
    list(islice(upcoming(found.spec, NOW), 3))


def schedule(make: Maker) -> None:
    spec: dict[str, Any] = {"tasks": [{"name": "t", "noop": True}]}
    for field in ("schedule", "schedules", "timeZone", "startDate", "endDate", "startingDeadline", "runTimeout"):
        if make.random.random() < 0.4:
            spec[field] = _moment(make, field)
    found, problems = validate_dag(_manifest("Dag", spec))
    if found is not None and not problems:
        list(islice(upcoming(found.spec, NOW), 3))


PARTS = ["*", "0", "7", "60", "*/5", "1-5", "5-1", "1,2", "L", "MON", "?", "#", "99999", "*/0"]


def _moment(make: Maker, field: str) -> Any:
    cron = " ".join(make.random.choice(PARTS) for _ in range(make.random.choice([4, 5, 5, 5, 6])))
    made: Any = make.text() if make.random.random() < 0.5 else cron
    if field == "schedules":
        return [made, "@daily"]
    return {"every": made} if field == "schedule" and make.random.random() < 0.3 else made


def other_kinds(make: Maker) -> None:
    kind, validate, spec = make.random.choice(
        [
            ("DagRun", validate_dag_run, seeds.RUN),
            ("Backfill", validate_backfill, seeds.BACKFILL),
            ("Pool", validate_pool, seeds.POOL),
        ]
    )
    options: dict[str, Any] = {} if kind == "Pool" or make.random.random() < 0.5 else {"dag": _spec(0)}
    found, problems = validate(_manifest(kind, make.bent(spec)), **options)  # type: ignore[operator]
    assert found is not None or problems
    assert summary(problems) or not problems


def params(make: Maker) -> None:
    schema = make.bent(seeds.SCHEMA)
    check_param_schemas({"p": schema})
    # A run may be pinned to a Dag from before a check was made.
    check_params(
        {"p": schema}, {"p": make.value() if make.random.random() < 0.5 else make.bent(seeds.SCHEMA["default"])}
    )


def output(make: Maker) -> None:
    """Outputs of tasks: read, kept in status, mapped over, put into templates."""
    _play(make, _resolved(make.random.randrange(len(seeds.DAGS))))


def status(make: Maker) -> None:
    """A status that a user has edited: rejected, or a run that continues."""
    bent = make.bent(seeds.STATUSES[0])
    try:
        text = orjson.dumps({"metadata": {"name": "r"}, "spec": {"dag": "d"}, "status": bent})
        decoded = decoder_for(DagRunObject).page(b'{"metadata":{},"items":[' + text + b"]}").items[0].object
        if decoded is None:
            return
        read = decoded.decoded_status()
        check_status(read)
    except (UnusableStatus, TypeError):  # TypeError: orjson's, for what is no JSON
        return
    run = _play(make, _resolved(2), status=read)
    check_status(orjson.loads(orjson.dumps(run_status(run))))


def index_set(make: Maker) -> None:
    text = (
        make.text() if make.random.random() < 0.3 else "".join(make.random.choice("0123456789-,, ²") for _ in range(12))
    )
    try:
        found = IndexSet.parse(text)
    except ValueError:
        return
    assert IndexSet.parse(str(found)) == found


def pod(make: Maker) -> None:
    """A Pod as the API server might send it."""
    try:
        text = orjson.dumps({"type": "MODIFIED", "object": make.bent(seeds.POD)})
    except TypeError:
        return
    if make.random.random() < 0.1:
        cut = make.random.randrange(len(text))
        text = text[:cut] + bytes([make.random.randrange(256)]) + text[cut + make.random.randrange(3) :]
    try:
        _, item = decoder_for(PodObject).event(text)
    except (MalformedStream, ApiError):
        return
    if item.object is not None:
        run_uid_of(item.object), try_of(item.object), observe(item.object, gone=make.random.random() < 0.5)


def yaml(make: Maker) -> None:
    """A file for the command line."""
    pieces = [
        *(
            "a",
            "b: ",
            "- ",
            "{",
            "}",
            "[",
            "]",
            "&a ",
            "*a",
            "*b",
            "!!python/object:os.system ",
            "<<: ",
            "\n",
            "  ",
            "\t",
            "---\n",
            "'",
            '"',
        ),
        *(
            "!!binary x",
            "!!set {a}",
            "? ",
            "0x1F",
            "1e400",
            ".nan",
            "2026-01-01",
            "|\n",
            "#",
            "%YAML 9\n",
            "é",
            "\x00",
            ": ",
            "key: ",
            "~",
        ),
    ]
    text = "".join(make.random.choice(pieces) for _ in range(make.random.randrange(25)))
    sys.stdin = io.StringIO(text)
    try:
        documents, _ = read_documents(["-"])
    except CliError:
        return
    finally:
        sys.stdin = sys.__stdin__
    for document in documents:
        validate_dag(document.manifest if isinstance(document.manifest, dict) else {})


TARGETS: dict[str, tuple[Callable[[Maker], None], int]] = {
    "template": (template, 40),
    "dag": (dag, 10),
    "schedule": (schedule, 8),
    "other_kinds": (other_kinds, 10),
    "params": (params, 6),
    "output": (output, 4),
    "status": (status, 10),
    "index_set": (index_set, 6),
    "pod": (pod, 10),
    "yaml": (yaml, 6),
}
"""Each target, and how many of a hundred inputs it gets."""


def attempt(name: str, number: int) -> None:
    """Try one input; what is raised is a find."""
    TARGETS[name][0](Maker(f"{name} {number}"))


def _manifest(kind: str, spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "tradewind.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "d", "namespace": "ns"},
        "spec": spec,
    }


@lru_cache
def _spec(number: int) -> DagSpec:
    return DagSpec.model_validate(seeds.DAGS[number])


@lru_cache
def _resolved(number: int) -> ResolvedDag:
    return resolve(_spec(number))


def _play(make: Maker, dag: ResolvedDag, status: Any = None) -> RunState:
    """Run a Dag for a while, its tasks ending as chance will have it."""
    info = RunInfo("ns", "r", "u", "d", "Manual", NOW, NOW, NOW, params={"rows": [1, 2], "region": "eu"})
    scheduler = Scheduler()
    run = load(info, dag, scheduler.slots, status=status)
    scheduler.add_run(run)
    now = NOW
    for _ in range(STEPS):
        for start in scheduler.plan(now).starts:
            _start(make, run, start.key, now)
        now += timedelta(minutes=5)
    orjson.dumps(run_status(run))
    scheduler.remove_run("u")
    assert scheduler.slots.active == 0
    return run


def _start(make: Maker, run: RunState, key: Any, now: datetime) -> None:
    task = run.node(key.task).task
    said: dict[str, Any] = {"index": key.index, "poke": key.poke}
    try:
        rendered = render_task(run, task, key.number, key.index)
        orjson.dumps(pod_manifest(run.info, run.dag, task, key, rendered))
    except ValueError as error:  # TemplateError among them: the try is refused
        report = TryReport(key.task, key.number, TryEvent.REFUSED, reason="X", message=str(error), retry=False, **said)
    except TypeError:  # orjson's, for broken surrogates, which no API server sends
        report = TryReport(key.task, key.number, TryEvent.LOST, reason="X", **said)
    else:
        code = make.random.choice([0, 0, 0, 1, 99, 255, 2**31])
        printed = make.text() if make.random.random() < 0.3 else _json(make)
        report = TryReport(key.task, key.number, TryEvent.ENDED, exit_code=code, output=printed[:5000], **said)
    try_lifecycle.apply_report(run, report, now)


def _json(make: Maker) -> str:
    kind = make.random.randrange(6)
    if kind == 0:
        return "[" * make.random.choice([90, 300, 2000]) + "]" * make.random.choice([90, 300, 2000])
    if kind == 1:
        return '{"a": 1, "a": 2, "list": ' + make.random.choice(["NaN", "1e999", "9" * 30, "[1,2]", '"\\ud800"']) + "}"
    try:
        return orjson.dumps(make.bent({"list": [1, 2], "n": 3, "x": "left"})).decode()
    except TypeError:
        return "left"
