"""A run long enough to kill its controller during it, and checks of its result."""

from tests.e2e.ledger import CLAIM, MOUNT, read_ledger, sleeper
from tests.e2e.spaces import Space, task

SHORT, LONG = ["one", "two", "three"], ["four", "five"]
FLAKY = ["flaky-one", "flaky-two"]
FIRST = [*SHORT, *LONG, *FLAKY]
TRIES = {(name, 1) for name in [*FIRST, "join"]} | {(name, 2) for name in FLAKY}


def make_busy(space: Space, name: str = "busy") -> str:
    """Make the Dag and its volume: seven tasks side by side, two of which fail at first, and one after all."""
    space.volume(CLAIM)
    space.dag(
        name,
        *(sleeper(task, seconds) for task, seconds in zip(SHORT, (0.5, 1, 2), strict=True)),
        *(sleeper(task, seconds) for task, seconds in zip(LONG, (3.5, 5), strict=True)),
        *(sleeper(task, 1, fails=1) for task in FLAKY),
        sleeper("join", 4, *FIRST),
        task("tell", "test '{{ tasks.one.output }} {{ tasks.five.output }}' = 'one five'", "join"),
        podTemplate=MOUNT,
    )
    return name


def finished(space: Space, run: str) -> int:
    """Return the number of its finished tasks, by status."""
    return sum(entry["state"] == "Succeeded" for entry in space.tasks(run).values())


def assert_undisturbed(space: Space, run: str) -> None:
    """The run succeeded, every try of it ran exactly once, and no result was lost."""
    space.wait_succeeded(run)
    assert read_ledger(space) == dict.fromkeys(TRIES, 1), space.explain()
    entries = space.tasks(run)
    for name in [*FIRST, "join"]:
        entry = entries[name]
        assert entry["output"] == name
        assert "lost" not in entry, entry
        assert entry["try"] == (2 if name in FLAKY else 1), entry
        past = [(earlier["number"], earlier["state"]) for earlier in entry.get("tries", ())]
        assert past == ([(1, "Failed")] if name in FLAKY else []), entry
    assert len(space.pods_of(run)) == len(TRIES) + 1
