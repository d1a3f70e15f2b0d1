"""A run keeps the Dag it started with, whatever happens to the Dag meanwhile."""

from typing import Any

from tests.cluster import Manifest
from tests.e2e.spaces import Space, task
from tests.e2e.stage import Stage, side_by_side


def says(word: str) -> list[Manifest]:
    """Tasks of a Dag whose second one outputs a word, a few seconds after the first has started."""
    return [task("wait", "sleep 4"), task("say", f"echo '\"{word}\"' >$TRADEWIND_OUTPUT", "wait")]


def revisions(space: Space, dag: str) -> dict[str, Any]:
    """The ControllerRevisions of a Dag, by name."""
    found = space.witness.apps.list_namespaced_controller_revision(
        space.name, label_selector=f"tradewind.dev/dag={dag}"
    )
    return {item.metadata.name: item for item in found.items}


@side_by_side
def test_an_active_run_keeps_its_dag(stage: Stage) -> None:
    space = stage.watched_space("revisions")
    space.dag("talk", *says("old"))
    old = space.run("talk", "old-run")
    space.wait_state(old, "wait", "Running")

    space.edit_dag("talk", tasks=[*says("new"), task("more", "true", "say")])
    space.wait_accepted("talk")
    new = space.run("talk", "new-run")

    old_status, new_status = space.wait_succeeded(old), space.wait_succeeded(new)
    assert space.task(old, "say")["output"] == "old"
    assert space.task(new, "say")["output"] == "new"
    assert [entry["name"] for entry in old_status["tasks"]] == ["wait", "say"]
    assert [entry["name"] for entry in new_status["tasks"]] == ["wait", "say", "more"]
    kept = revisions(space, "talk")
    assert kept.keys() == {old_status["revision"], new_status["revision"]}
    assert len(kept) == 2
    assert "old" in str(kept[old_status["revision"]].data)
    [owner] = kept[old_status["revision"]].metadata.owner_references
    assert (owner.kind, owner.name) == ("Dag", "talk")

    again = space.run("talk", "again", revision=old_status["revision"])
    space.wait_succeeded(again)
    assert space.task(again, "say")["output"] == "old"


@side_by_side
def test_fields_that_runs_do_not_use_create_no_revision(stage: Stage) -> None:
    space = stage.watched_space("no-revision")
    space.dag("calm", task("calm", "true"))
    first = space.wait_succeeded(space.run("calm"))["revision"]
    before = space.dag_status("calm")["revision"]

    space.kubectl.run("annotate", "dag", "calm", "note=quiet")
    space.edit_dag("calm", suspend=True, description="quiet", maxActiveRuns=3, schedule="0 6 * * *")
    space.wait_accepted("calm")

    assert space.wait_succeeded(space.run("calm"))["revision"] == first
    assert list(revisions(space, "calm")) == [first]
    assert space.dag_status("calm")["revision"] == before


@side_by_side
def test_a_revision_that_does_not_exist(stage: Stage) -> None:
    space = stage.watched_space("lost-revision")
    space.dag("calm", task("calm", "true"))
    run = space.run("calm", revision="calm-nowhere")
    space.eventually(lambda: space.status(run).get("reason") == "RevisionUnusable", "the run says what is missing")
    assert "calm-nowhere" in space.status(run)["message"]


@side_by_side
def test_a_dag_becomes_invalid_during_a_run(stage: Stage) -> None:
    space = stage.watched_space("broken")
    space.dag("talk", *says("fine"))
    run = space.run("talk")
    space.wait_state(run, "wait", "Running")
    space.edit_dag("talk", tasks=[task("a", "true", "b"), task("b", "true", "a")])
    space.wait_accepted("talk", "False")
    space.wait_succeeded(run)
    assert space.task(run, "say")["output"] == "fine"
