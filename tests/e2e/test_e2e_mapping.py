"""Mapped tasks and groups as Pods: each index once, within its pool, and the same after a crash."""

from tests.e2e.ledger import CLAIM, MOUNT, read_ledger
from tests.e2e.pod_watch import PodWatch
from tests.e2e.spaces import Space, task
from tests.e2e.stage import Stage, side_by_side
from tradewind.engine.run.index_set import IndexSet

INDEXES = range(20)
LIST = task("list", "echo '[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19]' > $TRADEWIND_OUTPUT")
SQUARES = [index * index for index in INDEXES]


def ended(space: Space, run: str, name: str) -> int:
    """Instances of a mapped task that have succeeded, by status."""
    return len(IndexSet.parse(space.task(run, name).get("indexes", {}).get("Succeeded", "")))


def assert_squares(space: Space, run: str) -> None:
    """Every instance wrote what belongs to its item, and the task after them has read it, in order."""
    entry = space.task(run, "each")
    assert entry["outputs"] == {str(index): square for index, square in enumerate(SQUARES)}, entry
    [collect] = space.pods_of(run, "collect")
    assert space.log(collect.metadata.name) == f"{SQUARES}\n"


@side_by_side
def test_twenty_instances_share_a_pool_of_three_and_one_is_tried_again(stage: Stage) -> None:
    space, _ = stage.space_and_controller("mapped")
    watch = PodWatch(space)
    space.pool("three", 3)
    script = (
        'if [ "{{ index }}" = 7 ] && [ "$TRADEWIND_TRY" = 1 ]; then echo "no luck" >&2; exit 3; fi; '
        "sleep 0.3; echo $(({{ item }} * {{ item }})) > $TRADEWIND_OUTPUT"
    )
    retries = {"limit": 1, "delay": "5s"}
    space.dag(
        "squares",
        LIST,
        task("each", script, forEach={"output": "list"}, pool="three", retries=retries),
        task("collect", "echo '{{ tasks.each.output | tojson }}'", "each"),
    )
    run = space.run("squares")
    failed = space.eventually(lambda: space.task(run, "each").get("indexes", {}).get("UpForRetry"), "index 7 fails")
    assert failed == "7"
    status = space.wait_succeeded(run)
    assert status["done"] == "22/22"
    assert watch.most_at_once() == 3
    watch.end()
    assert_squares(space, run)
    entry = space.task(run, "each")
    assert (entry["count"], entry["indexes"], entry["numbers"]) == (20, {"Succeeded": "0-19"}, {"2": "7"})
    tries = sorted(
        (int(pod.metadata.labels["tradewind.dev/index"]), int(pod.metadata.labels["tradewind.dev/try"]))
        for pod in space.pods_of(run, "each")
    )
    assert tries == sorted([*((index, 1) for index in INDEXES), (7, 2)])


@side_by_side
def test_a_mapped_group_continues_when_one_index_fails(stage: Stage) -> None:
    space, _ = stage.space_and_controller("group")
    groups = [{"name": "model", "forEach": {"items": ["bike", "car", "van"]}}]
    space.dag(
        "models",
        task("train", "test {{ item }} != car && echo '\"{{ item }}.bin\"' > $TRADEWIND_OUTPUT", group="model"),
        task("check", "echo {{ tasks.train.output }} of {{ item }}", "train", group="model"),
        task("after", "echo '{{ tasks.train.output | tojson }}'", "model", triggerRule="AllDone"),
        groups=groups,
    )
    run = space.run("models")
    status = space.wait_finished(run)
    assert (status["phase"], status["done"]) == ("Succeeded", "7/7"), space.explain()
    assert space.task(run, "train")["indexes"] == {"Failed": "1", "Succeeded": "0,2"}
    assert space.task(run, "check")["indexes"] == {"Succeeded": "0,2", "UpstreamFailed": "1"}
    said = {
        int(pod.metadata.labels["tradewind.dev/index"]): space.log(pod.metadata.name)
        for pod in space.pods_of(run, "check")
    }
    assert said == {0: "bike.bin of bike\n", 2: "van.bin of van\n"}
    [after] = space.pods_of(run, "after")
    assert space.log(after.metadata.name) == '["bike.bin", "van.bin"]\n'


@side_by_side
def test_a_controller_that_dies_in_the_middle_of_a_mapped_run(stage: Stage) -> None:
    space, controller = stage.space_and_controller("map-crash")
    space.volume(CLAIM)
    script = (
        'echo "{{ task.name }}-{{ index }} $TRADEWIND_TRY" >> /ledger/tries; sleep 0.5; '
        "echo $(({{ item }} * {{ item }})) > $TRADEWIND_OUTPUT"
    )
    sign = 'echo "{{ task.name }}-{{ index }} $TRADEWIND_TRY" >> /ledger/tries; sleep 0.2'
    space.dag(
        "squares",
        LIST,
        task("each", script, forEach={"output": "list"}),
        task("one", sign, group="g"),
        task("two", sign, "one", group="g"),
        task("collect", "echo '{{ tasks.each.output | tojson }}'", "each", "g"),
        groups=[{"name": "g", "forEach": {"items": [1, 2, 3, 4, 5, 6]}}],
        podTemplate=MOUNT,
        maxActiveTasks=6,
    )
    run = space.run("squares")
    for least in (4, 12):
        space.eventually(lambda least=least: ended(space, run, "each") >= least, f"{least} instances have finished")
        controller.kill()
        controller = stage.controllers.launch_for(space.name).wait_leading()
    status = space.wait_succeeded(run)
    assert status["done"] == f"{1 + 20 + 6 + 6 + 1}/34"
    expected = [*((f"each-{index}", 1) for index in INDEXES)]
    expected += [(f"{name}-{index}", 1) for name in ("one", "two") for index in range(6)]
    assert read_ledger(space) == dict.fromkeys(expected, 1), space.explain()
    assert_squares(space, run)
    assert "numbers" not in space.task(run, "each")
