"""One simulation: a cluster, replicas of the controller, and faults for a while; after them everything must recover."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
import sys
import traceback
import types
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from tests.apiserver import ApiServer, Commit, ControllerManager, Kind, Request
from tests.apiserver.kinds import CONTROLLERREVISIONS, DAGRUNS, DAGS, NAMESPACES, POOLS, RESOURCEQUOTAS
from tests.simulation.asking import resume_runs
from tests.simulation.backfills import resume_backfills
from tests.simulation.dags import Scenario, random_scenario, random_script
from tests.simulation.failure_limits import limit_failures
from tests.simulation.faults import Fault, later_faults, random_faults, refusals, repair_dags, strike
from tests.simulation.finality import add_waits
from tests.simulation.invariants import Invariants
from tests.simulation.kubelet import Kubelet, Script, TryId
from tests.simulation.loop import OWNER, NothingToDo, VirtualLoop
from tests.simulation.network import QUIET, Network
from tests.simulation.refusals import GONE, forbid_gone, random_namespaces
from tests.simulation.replica import Life, Replica
from tests.simulation.ticks import with_ticks
from tradewind.api import names

Json = dict[str, Any]

START = datetime(2026, 3, 1, 6, tzinfo=UTC)
PUT_RIGHT_AFTER = 34.0
"""Seconds without faults after which people see to what they have to: a clock that was set is noticed within 30."""
FAULTS_FOR = 60.0
"""Seconds in which faults strike."""
END_WITHIN = 7200.0
"""Seconds after the last fault within which every run has to end."""
SETTLE = 75.0
"""Seconds after the last run has finished until all has to be cleaned up; a Pod that does not stop by its deadline is
deleted 30 s after its grace period."""
NAMESPACE = "ns"


class Failed(Exception):  # noqa: N818
    """An invariant does not hold."""


class World:
    """Everything there is in one simulation. `trace` gathers what happens, if it is wanted."""

    def __init__(
        self,
        seed: str,
        loop: VirtualLoop,
        *,
        scenario: Scenario,
        faults: list[Fault],
        replicas: int = 2,
        script_of: Callable[[TryId, Json], Script] | None = None,
        trace: list[str] | None = None,
        end_within: float = END_WITHIN,
        settings: Json | None = None,
        story: Callable[[World], None] | None = None,
    ) -> None:
        """`faults` are injected automatically; a `story` is called with the world at its start."""
        self.seed, self.loop, self.scenario, self.faults = seed, loop, scenario, faults
        # Times that a wrong clock has written are waited for.
        self.end_within = end_within + 3600 * sum(fault.kind == "clock" for fault in faults)
        self.trace, self._story = trace, story
        self.calm = False
        """Whether nothing goes wrong any more."""
        self.busy_until = 0.0
        """When a story has run: then the end is waited for."""
        self.problem: asyncio.Future[str] = loop.create_future()
        self.last_writer: dict[str, Life] = {}
        """The last writer of a run's status, by the run's UID."""
        self.revisions: dict[str, Json] = {}
        """Specs that runs are pinned to, by the name of the revision."""
        uids = random.Random(f"{seed}/uids")
        self.server = ApiServer(
            now=self.true_time, new_uid=lambda: str(uuid.UUID(int=uids.getrandbits(128), version=4))
        )
        delays = random.Random(f"{seed}/delays")
        self.manager = ControllerManager(self.server, lambda: delays.choice([0.01, 0.5, 3.0]) if faults else 0.01)
        self.kubelet = Kubelet(
            self.server,
            script_of=script_of or (lambda try_id, document: random_script(seed, try_id, document)),
            delay=lambda: delays.choice([0.01, 0.05, 0.5]) if faults else 0.001,
            now=self.true_time,
            log=self.log,
        )
        self.network = Network(self.server, random.Random(f"{seed}/network"), self.log)
        self._settings = {"parallelism": scenario.parallelism, **(settings or {})}
        self.replicas = [self.replica(name) for name in "abc"[:replicas]]
        self.server.store.on_commit.append(self._committed)
        self.little_fits_until = float("-inf")
        """When etcd took, or takes, of a DagRun what it always does again, in seconds of the loop."""
        self.invariants = Invariants(self)
        loop.set_exception_handler(self._exception)

    # What everybody needs -----------------------------------------------------------------------------------------

    def true_time(self) -> datetime:
        return START + timedelta(seconds=self.loop.time())

    def log(self, text: str) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.loop.time():9.3f} #{self.loop.steps} {text}")

    def fail(self, text: str) -> None:
        """An invariant does not hold: the simulation ends."""
        self.log(f"VIOLATED {text}")
        if not self.problem.done():
            self.problem.set_result(text)

    def later(self, seconds: float, act: Callable[..., object], *arguments: Any) -> None:
        self.loop.call_later(seconds, act, *arguments, context=contextvars.Context())

    def strike_at_any_await(self, steps: int, act: Callable[[], None]) -> None:
        """Do something after so many more callbacks, wherever the processes are then."""
        self.loop.at_step(self.loop.steps + steps, lambda: None if self.calm else act())

    def replica(self, name: str, **settings: Any) -> Replica:
        """Another one, that has not been started."""
        return Replica(name, self.network, self.loop, self.true_time, self._settings | settings, self.log)

    def lives(self) -> Iterator[Life]:
        """All processes there have been."""
        for replica in self.replicas:
            yield from replica.lives

    @property
    def leaders(self) -> list[Replica]:
        """Those that lead, or think so."""
        return [replica for replica in self.replicas if replica.leads]

    def streams(self, name: str = "") -> list[Any]:
        """Open watches of one replica, or of all."""
        lives = [replica.life for replica in self.replicas if name in ("", replica.name)]
        return [stream for life in lives if life is not None for stream in life.client.streams]

    def pool_of(self, pod: Json) -> tuple[str, int]:
        """Pool and slots of a Pod's task."""
        task = self.task_of(pod)
        return task.get("pool", "default"), task.get("poolSlots", 1)

    def task_of(self, pod: Json) -> Json:
        """A Pod's task as its run runs it."""
        name = pod["metadata"]["labels"][names.LABEL_TASK]
        return next(task for task in self.spec_of(pod)["tasks"] if task["name"] == name)

    def spec_of(self, pod: Json) -> Json:
        """The Dag of a Pod as its run runs it."""
        return self.revisions[pod["metadata"]["annotations"][names.ANNOTATION_REVISION]]

    # People -------------------------------------------------------------------------------------------------------

    def request(self, method: str, kind: Kind, namespace: str, name: str | None, body: Json | None = None) -> int:
        """A request of a person's: it always arrives."""
        root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        where = f"/namespaces/{namespace}" if kind.namespaced else ""
        path = f"{root}{where}/{kind.plural}" + (f"/{name}" if name else "")
        request = Request(
            method=method,
            path=path,
            body=None if body is None else orjson.dumps(body),
            content_type="application/merge-patch+json" if method == "PATCH" else None,
            client="user",
        )
        status = self.server.handle(request).status
        self.log(f"a user {method} {kind.plural} {name or body} → {status}")
        return status

    def make_dag(self, name: str, spec: Json, namespace: str = NAMESPACE) -> None:
        body = {"apiVersion": "tradewind.dev/v1alpha1", "kind": "Dag", "metadata": {"name": name}, "spec": spec}
        if self.request("POST", DAGS, namespace, None, body) == 409:
            # The one before still waits for what it owns.
            self.later(5.0, self.make_dag, name, spec, namespace)

    def make_run(self, name: str, dag: str, namespace: str = NAMESPACE, labels: Json | None = None) -> None:
        body = {"apiVersion": "tradewind.dev/v1alpha1", "kind": "DagRun"}
        metadata = {"name": name, **({"labels": labels} if labels else {})}
        self.request("POST", DAGRUNS, namespace, None, body | {"metadata": metadata, "spec": {"dag": dag}})

    def make_pool(self, name: str, slots: int) -> None:
        body = {"apiVersion": "tradewind.dev/v1alpha1", "kind": "Pool", "metadata": {"name": name}}
        self.request("POST", POOLS, NAMESPACE, None, body | {"spec": {"slots": slots}})

    # The play -----------------------------------------------------------------------------------------------------

    async def play(self) -> None:
        """All of it. Failed when an invariant does not hold."""
        play = self.loop.create_task(self._play())
        waiting: list[asyncio.Future[Any]] = [play, self.problem]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if self.problem.done():
            play.cancel()
            raise Failed(self.problem.result())
        await play

    async def _play(self) -> None:
        self.request("POST", NAMESPACES, "", None, {"metadata": {"name": NAMESPACE}})
        for name, slots in self.scenario.pools.items():
            self.make_pool(name, slots)
        for name, spec in self.scenario.dags.items():
            self.make_dag(name, spec)
        for name, dag in self.scenario.runs:
            self.make_run(name, dag)
        for replica in self.replicas:
            replica.start()
        for fault in self.faults:
            self.later(fault.at, strike, self, fault)
        if self._story is not None:
            self._story(self)
        if self.faults:
            await asyncio.sleep(FAULTS_FOR)
            self._calm()
        await self._until_ended()
        await asyncio.sleep(SETTLE)
        self.invariants.check_end()

    def _calm(self) -> None:
        """Nothing goes wrong from now on."""
        self.log("CALM")
        self.calm = True
        self.network.trouble = QUIET
        self.network.down.clear()
        self.network.refusals[:] = [each for each in self.network.refusals if each is forbid_gone]
        self.server.largest.clear()
        self.server.admission.clear()
        self.request("DELETE", RESOURCEQUOTAS, NAMESPACE, "quota")
        for replica in self.replicas:
            replica.clock.skew = timedelta(0)
        self.later(PUT_RIGHT_AFTER, self._put_right)

    def _put_right(self) -> None:
        """Repairs by users: valid Dags, existing pools of sufficient size, running replicas; no new runs."""
        self.invariants.ticks.check_calm()
        for name, slots in self.scenario.pools.items():
            self.make_pool(name, slots)
            self.request("PATCH", POOLS, NAMESPACE, name, {"spec": {"slots": max(slots, 2)}})
        for dag in self.server.all(DAGS, NAMESPACE):
            if dag["spec"].get("schedule"):
                self.request("PATCH", DAGS, NAMESPACE, dag["metadata"]["name"], {"spec": {"suspend": True}})
        repair_dags(self)
        resume_runs(self)
        resume_backfills(self)
        for replica in self.replicas:
            replica.failures.clear()
            replica.start()

    async def _until_ended(self) -> None:
        until = self.loop.time() + self.end_within
        if self.faults:
            await asyncio.sleep(PUT_RIGHT_AFTER + 1.0)
        await asyncio.sleep(max(0.0, self.busy_until - self.loop.time()))
        while left := self.invariants.unfinished():
            if self.loop.time() > until:
                self.fail(f"these runs do not end: {', '.join(left)}")
                return
            await asyncio.sleep(5.0)
        for replica in self.replicas:
            if replica.failures:
                self.fail(f"with nothing going wrong: {replica.failures}")

    def _committed(self, commit: Commit) -> None:
        request = self.server.request
        if commit.kind is CONTROLLERREVISIONS and commit.new is not None:
            self.revisions[commit.new.metadata["name"]] = commit.new.document["data"]["spec"]
        if commit.kind is DAGRUNS and commit.new is not None and request is not None and "-" in request.client:
            for life in self.lives():
                if life.name == request.client:
                    self.last_writer[commit.new.metadata["uid"]] = life
        if self.trace is not None:
            self.log(f"  {_described(commit)}")

    def _exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.fail(f"{context.get('message')}: {context.get('exception')!r}")


def _described(commit: Commit) -> str:
    stored = commit.new or commit.old
    assert stored is not None
    what = "deleted" if commit.new is None else "made" if commit.old is None else "changed"
    text = f"{commit.revision} {commit.kind.name} {stored.metadata['name']} {what}"
    if commit.new is not None and commit.kind is DAGRUNS:
        status = commit.new.document.get("status") or {}
        tasks = ", ".join(
            f"{entry['name']} {entry['state']} {entry.get('try', '')} {entry.get('reason', '')}".strip()
            for entry in status.get("tasks") or ()
        )
        return f"{text}: {status.get('phase')} {status.get('reason', '')} [{tasks}]"
    if commit.new is not None and commit.kind.plural == "pods":
        document = commit.new.document
        states = [next(iter(each["state"])) for each in document["status"].get("containerStatuses") or ()]
        deleted = " to be deleted" if "deletionTimestamp" in document["metadata"] else ""
        return f"{text}: {document['status'].get('phase')} {states}{deleted}"
    return text


# One seed -----------------------------------------------------------------------------------------------------------


class _Errors(logging.Handler):
    """The controller logs an error only for what should never happen."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.DEBUG if world.trace is not None else logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.ERROR:
            error = record.exc_info[1] if record.exc_info else None
            self._world.fail(f"logged as an error: {text} {error!r}")
            if error is not None and self._world.trace is not None:
                self._world.log("".join(traceback.format_exception(error)))
        else:
            owner = OWNER.get()
            self._world.log(f"  {owner.name if owner else '?'} {record.name.rpartition('.')[2]}: {text}")


@contextmanager
def _seeded_modules(seed: str) -> Iterator[None]:
    """Make jitter follow from the seed: every `random.Random()` is seeded."""
    source = random.Random(f"{seed}/jitter")

    def make(given: Any = None) -> random.Random:
        return random.Random(source.getrandbits(64) if given is None else given)

    replaced = types.SimpleNamespace(Random=make)
    changed = [
        module
        for name, module in list(sys.modules.items())
        if name.startswith("tradewind.") and getattr(module, "random", None) is random
    ]
    for module in changed:
        module.random = replaced  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in changed:
            module.random = random  # type: ignore[attr-defined]


@contextmanager
def _error_log(world: World) -> Iterator[None]:
    logger, handler = logging.getLogger("tradewind"), _Errors(world)
    before = (logger.level, logger.propagate)
    logger.setLevel(handler.level)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before
        logger.setLevel(before[0])


def simulate(seed: str, make: Callable[[VirtualLoop], World]) -> World:
    """Play a world to its end. Failed when an invariant does not hold."""
    loop = VirtualLoop()

    async def begin() -> World:
        return make(loop)

    try:
        with _seeded_modules(seed):
            world = loop.run_until_complete(begin())
            with _error_log(world):
                try:
                    loop.run_until_complete(world.play())
                except NothingToDo:
                    raise Failed("everything waits for something that will never come") from None
                finally:
                    world.fail = lambda text: None  # type: ignore[method-assign]
                    loop.run_until_complete(_end(loop, world))
    finally:
        loop.close()
    return world


async def _end(loop: VirtualLoop, world: World) -> None:
    """Let every task end, so that nothing is left to be complained of."""
    for replica in world.replicas:
        replica.kill(restart_after=None)
    for _ in range(100):
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=20)


def play_seed(seed: int, trace: list[str] | None = None) -> World:
    """One random simulation. Failed names the violated invariant, the faults before it, and how to repeat it."""
    rng = random.Random(f"{seed}/scenario")
    scenario = random_scenario(rng)
    limit_failures(scenario, random.Random(f"{seed}/limits"))
    refused = random.Random(f"{seed}/refusals")
    faults = random_faults(rng, FAULTS_FOR)
    with_ticks(scenario, faults, random.Random(f"{seed}/ticks"))
    add_waits(scenario, random.Random(f"{seed}/waits"))
    faults += later_faults(random.Random(f"{seed}/later faults"), FAULTS_FOR)
    faults += refusals(refused, FAULTS_FOR)
    settings: Json = {"namespaces": random_namespaces(refused)}

    def story(world: World) -> None:
        if GONE in settings["namespaces"]:
            world.network.refusals.append(forbid_gone)

    def world(loop: VirtualLoop) -> World:
        return World(str(seed), loop, scenario=scenario, faults=faults, trace=trace, settings=settings, story=story)

    try:
        return simulate(str(seed), world)
    except Failed as failed:
        schedule = "\n".join(f"  {fault}" for fault in faults)
        again = f"make test-simulation SEED={seed}"
        raise Failed(f"seed {seed}: {failed}\nfaults:\n{schedule}\nall of it, step by step: {again}") from None
