"""The chart on a real cluster, from install to uninstall, with the image of this checkout.

The tests of the first release build on each other's cluster but not on each other's results; the last one uninstalls.
"""

import json
import re
from collections.abc import Iterator

import pytest
import yaml

from tests.cluster import REPOSITORY, Manifest, RealCluster, Witness
from tests.e2e.built_images import project_image
from tests.e2e.ledger import CLAIM, MOUNT, read_ledger, sleeper
from tests.e2e.release import CHART, IMAGE, LEASE, NAME, Release
from tests.e2e.rights import asked, granted
from tests.e2e.spaces import API_VERSION, Space, stay, task
from tradewind.api.shards import Shard
from tradewind.controller.dags.history import REVISIONS_KEPT

LINKS = 6
RBAC = "rbac.authorization.k8s.io/v1"
HOOK = f"{NAME}-uninstall"
REFUSED = {("", "services", verb) for verb in ("list", "watch")} | {("coordination.k8s.io", "leases", "update")}
"""Requests that tests expect to be forbidden; and those of an earlier number of shards, for their Leases."""
NOT_SEEN = {
    # By an admission plugin, which the audit log does not show; test_work_that_takes_every_right needs it.
    ("tradewind.dev", "backfills", "delete"),
    # Where a webhook is asked about a Dag of another shard, and where an Event is repeated: not in each run of this.
    ("tradewind.dev", "dags", "get"),
    ("events.k8s.io", "events", "patch"),
}
UNINSTALL_SECONDS = 60.0
"""Time limit of an uninstall once the controllers have stopped."""
TAKE_OVER = ("--take-ownership", "--force-conflicts")
INSTALLING = (REPOSITORY / "docs" / "installing.md").read_text()
CYCLE: Manifest = {
    "apiVersion": API_VERSION,
    "kind": "Dag",
    "metadata": {"name": "cyclic"},
    "spec": {"taskDefaults": {"image": "busybox:1.36"}, "tasks": [task("a", "true", "b"), task("b", "true", "a")]},
}


@pytest.fixture(scope="module")
def image(real: RealCluster) -> None:
    """The controller's image is on the node."""
    real.load_image(project_image())


@pytest.fixture(scope="module")
def release(real: RealCluster, witness: Witness, image: None) -> Iterator[Release]:
    """The chart with its defaults, two replicas, in a namespace of its own."""
    release = Release(real, witness)
    try:
        release.install()
        yield release
    finally:
        release.clear()


@pytest.fixture(scope="module")
def space(real: RealCluster, witness: Witness, release: Release, ended_spaces: list[Space]) -> Iterator[Space]:
    """A namespace that the release watches."""
    space = Space(real, witness, release, "chart")
    yield space
    space.delete()
    space.wait_gone()


def test_crds_that_kubectl_applied_are_adopted_only_on_request(
    real: RealCluster, witness: Witness, image: None
) -> None:
    """As docs/installing.md says. They are older ones: helm would not mind what is as it would have it."""
    assert f"helm install tradewind helm/tradewind {' '.join(TAKE_OVER)}" in INSTALLING.replace("\\\n ", "")
    release = Release(real, witness)
    try:
        older = yaml.safe_load((REPOSITORY / "crds" / "tradewind.dev_pools.yaml").read_text())
        older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = "As it was."
        release.kubectl.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump(older))
        for flags, refusal in (((), "invalid ownership metadata"), (TAKE_OVER[:1], 'conflict with "kubectl"')):
            done = release.attempt("install", NAME, str(CHART), *flags, *IMAGE, "--set=replicas=0")
            assert done.returncode != 0
            assert refusal in done.stderr
            release.attempt("uninstall", NAME, "--no-hooks")
        release.helm("install", NAME, str(CHART), *TAKE_OVER, *IMAGE, "--set=replicas=0")
        assert "As it was." not in release.kubectl.run("get", "crd", "pools.tradewind.dev", "-o", "yaml")
    finally:
        release.clear()


def test_two_replicas_are_ready_and_one_leads(release: Release) -> None:
    pods = release.pods()
    assert len(pods) == 2
    for pod in pods:
        assert all(status.ready for status in pod.status.container_statuses)
        assert sum(status.restart_count for status in pod.status.container_statuses) == 0
    assert release.wait_leader() in {pod.metadata.name for pod in pods}


def test_a_dag_runs(space: Space) -> None:
    space.dag("hello", task("hello", "echo hello"), task("goodbye", "echo goodbye", "hello"))
    status = space.wait_succeeded(space.run("hello"))
    assert status["done"] == "2/2"


def test_variables_and_connections_need_no_right_to_read_secrets(release: Release, space: Space) -> None:
    config_map = {"metadata": {"name": "settings", "labels": {"tradewind.dev/variables": "true"}}}
    space.kubectl.apply({"apiVersion": "v1", "kind": "ConfigMap", **config_map, "data": {"region": "eu"}})
    secret = {"metadata": {"name": "warehouse"}, "stringData": {"USER": "reader"}}
    space.kubectl.apply({"apiVersion": "v1", "kind": "Secret", **secret})
    space.dag("data", task("tell", 'echo "{{ vars.settings.region }} $WAREHOUSE_USER"', connections=["warehouse"]))
    run = space.run("data")
    space.wait_succeeded(run)
    assert space.log(space.pods_of(run)[0].metadata.name) == "eu reader\n"
    controller = f"--as=system:serviceaccount:{release.namespace}:tradewind"
    for verb in ("get", "list", "watch"):
        assert space.kubectl.attempt("auth", "can-i", verb, "secrets", controller).stdout.strip() == "no"
        may = "no" if verb == "get" else "yes"
        assert space.kubectl.attempt("auth", "can-i", verb, "configmaps", controller).stdout.strip() == may
    assert space.kubectl.attempt("auth", "can-i", "patch", "configmaps", controller).stdout.strip() == "no"


def test_its_rights_suffice_to_suspend_a_dag(space: Space) -> None:
    space.dag("failing", task("fail", "exit 1"), maxConsecutiveFailedRuns=1)
    space.run("failing")
    space.eventually(lambda: space.witness.get(space.name, "dags", "failing")["spec"].get("suspend"), "it is suspended")


def test_the_webhook_refuses_a_bad_dag_in_the_words_of_its_condition(release: Release, space: Space) -> None:
    webhooks = "validatingwebhookconfigurations/tradewind." + release.namespace
    ca = ("get", webhooks, "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")
    space.eventually(lambda: release.kubectl.run(*ca), "the webhook has its CA")
    bad = yaml.safe_dump(CYCLE)

    refused = space.eventually(lambda: refusal(space, bad), "the webhook answers")

    assert "Dag 'cyclic'" in refused
    # The same Dag, allowed as for the controller itself: without a user.
    release.kubectl.run("patch", webhooks, "--type=json", "-p", unhook("Dag"))
    space.eventually(lambda: not refusal(space, bad), "the webhook asks no more")
    condition = space.wait_accepted("cyclic", "False")
    assert condition["reason"] == "Cycle"
    assert condition["message"] in refused
    release.kubectl.run("patch", webhooks, "--type=json", "-p", unhook("Nothing"))
    space.kubectl.run("label", "dag", "cyclic", "bad=still")


def refusal(space: Space, manifest: str) -> str:
    """Why `kubectl apply` is rejected; empty if it is not."""
    done = space.kubectl.attempt("apply", "-f", "-", stdin=manifest)
    return done.stderr if done.returncode else ""


def unhook(kind: str) -> str:
    """A patch of the webhook's first condition: objects of this kind are not its business."""
    condition = {"name": "not-in-this-test", "expression": f"object.kind != '{kind}'"}
    return yaml.safe_dump([{"op": "replace", "path": "/webhooks/0/matchConditions/0", "value": condition}])


def test_the_webhook_refuses_params_that_do_not_fit(space: Space) -> None:
    space.dag("sales", task("t", "true"), params={"region": {"enum": ["eu", "us"]}})
    space.wait_accepted("sales")
    run = {"apiVersion": API_VERSION, "kind": "DagRun", "metadata": {"name": "mars"}, "spec": {"dag": "sales"}}
    run["spec"] = {"dag": "sales", "params": {"region": "mars"}}
    assert "'mars' is not one of ['eu', 'us']" in refusal(space, yaml.safe_dump(run))
    run["spec"] = {"dag": "sales", "params": {"region": "eu"}}
    assert refusal(space, yaml.safe_dump(run)) == ""
    space.wait_succeeded("mars")


def test_the_webhook_sees_to_it_that_a_request_says_truly_who_asks(space: Space) -> None:
    space.dag("again", task("t", "true"))
    run = space.run("again")
    space.wait_succeeded(run)

    def asked(**request: str) -> str:
        """Return kubectl's output for the user ann."""
        patch = json.dumps({"spec": {"request": {"id": "1", "type": "Rerun", **request}}})
        ann = ("--as=ann", "--as-group=system:masters")
        done = space.kubectl.attempt("patch", "dagrun", run, "--type=merge", "-p", patch, *ann)
        return done.stdout + done.stderr

    assert "spec.request.requestedBy: is 'bob'; it must be the requesting user, 'ann'" in asked(requestedBy="bob")
    assert "spec.request.requestedBy: is not set; it must be the requesting user, 'ann'" in asked()
    assert asked(requestedBy="ann").endswith("patched\n")


def test_runs_survive_an_upgrade_and_the_loss_of_a_leader(release: Release, space: Space) -> None:
    space.volume(CLAIM)
    chain = [sleeper(f"link-{i}", 3, *([f"link-{i - 1}"] if i else [])) for i in range(LINKS)]
    space.dag("chain", *chain, sleeper("beside", 12), podTemplate=MOUNT)
    run = space.run("chain")
    space.wait_state(run, "link-0", "Running")

    release.upgrade("--set=controller.parallelism=50")
    leader = release.wait_leader()
    release.kubectl.run("delete", "pod", leader, "--wait=false")
    release.wait_leader(other_than=leader)

    space.wait_succeeded(run)
    assert read_ledger(space) == {(task["name"], 1): 1 for task in [*chain, {"name": "beside"}]}


def test_two_shards_take_over_from_one_and_give_it_back(release: Release, space: Space) -> None:
    """While runs are running; the shard that does not have the namespace takes no part in them."""
    chain = [task(f"step-{i}", "sleep 3", *([f"step-{i - 1}"] if i else [])) for i in range(LINKS)]
    space.dag("changes", *chain)
    before = space.run("changes", "before")
    space.wait_state(before, "step-0", "Running")

    release.upgrade("--set=shards=2", "--set=replicas=1")

    leaders = [release.wait_leader(lease=Shard(index, 2).lease_name(LEASE)) for index in range(2)]
    for index, leader in enumerate(leaders):
        assert leader.startswith(f"{NAME}-{index}-")
    meanwhile = space.run("changes", "meanwhile")
    space.wait_state(meanwhile, "step-0", "Succeeded")

    release.upgrade("--set=shards=1", "--set=replicas=2")

    release.wait_leader()
    for run in (before, meanwhile):
        space.wait_succeeded(run)
        made = sorted(pod.metadata.labels["tradewind.dev/task"] for pod in space.pods_of(run))
        assert made == [step["name"] for step in chain], "one Pod each"
        assert {entry.get("try", 1) for entry in space.status(run)["tasks"]} == {1}


def test_work_that_takes_every_right(release: Release, space: Space) -> None:
    """Together with the other tests: the last one compares what was asked for with what the chart grants."""
    job: Manifest = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "condition": {"type": "Complete"}}
    pod: Manifest = {"apiVersion": "v1", "kind": "Pod", "name": "p", "condition": {"type": "Ready"}}
    space.dag("asks", {"name": "job", "waitFor": {"object": job}}, {"name": "pod", "waitFor": {"object": pod}})
    asks = space.run("asks")
    for name in ("job", "pod"):
        space.eventually(
            lambda n=name: "does not exist" in space.task(asks, n).get("message", ""), f"{name} is awaited"
        )
    space.kubectl.apply({"apiVersion": API_VERSION, "kind": "Pool", "metadata": {"name": "few"}, "spec": {"slots": 2}})
    space.dag("pooled", *(task(f"t{number}", "sleep 20", pool="few") for number in range(3)))
    pooled = space.run("pooled")
    space.eventually(
        lambda: "few 2 2 1" in " ".join(space.kubectl.run("get", "pools").split()), "the Pool says what is used"
    )
    space.witness.delete(space.name, "dagruns", pooled)
    space.dag("kept", task("t", "true"), successfulRunsHistoryLimit=1, resultProtection="Finalizer")
    for number in range(2):
        space.wait_succeeded(space.run("kept", f"kept-{number}"))
    space.eventually(lambda: len(space.runs("kept")) == 1, "older runs are pruned")
    space.dag("edited", {"name": "t", "noop": True}, successfulRunsHistoryLimit=1)
    for number in range(REVISIONS_KEPT + 3):
        space.edit_dag("edited", maxActiveTasks=number + 1)
        space.wait_accepted("edited")
        space.wait_succeeded(space.run("edited", f"edited-{number}"))
    space.eventually(
        lambda: len(revisions(space, "edited")) <= REVISIONS_KEPT, "revisions that no run needs are pruned"
    )
    space.dag("past", task("t", "true"), schedule="@daily", startDate="2026-01-01T00:00:00Z", suspend=True)
    backfill: Manifest = {"apiVersion": API_VERSION, "kind": "Backfill", "metadata": {"name": "past"}}
    days = {"from": "2026-01-02T00:00:00Z", "to": "2026-01-03T00:00:00Z"}
    space.kubectl.apply({**backfill, "spec": {"dag": "past", **days}})
    space.eventually(
        lambda: space.witness.get(space.name, "backfills", "past").get("status", {}).get("phase") == "Succeeded",
        "the Backfill ends",
    )
    [owner] = space.witness.get(space.name, "backfills", "past")["metadata"]["ownerReferences"]
    assert owner["kind"] == "Dag"

    space.dag("brief", task("t", "true"), podRetention="1s")
    brief = space.run("brief")
    space.wait_succeeded(brief)
    space.eventually(lambda: not space.pods_of(brief), "its Pod goes before it does")
    # Of those that are stopped, one that runs is ended, one that never began is deleted.
    stopped = [task("u", "sleep 600"), task("v", "true", image="registry.invalid/absent:1")]
    space.dag("falls", task("t", "sleep 3; false", retries={"limit": 0}), *stopped, failFast=True)
    falls = space.run("falls")
    space.eventually(lambda: space.status(falls).get("phase") == "Failed", "one fails, the others are stopped")
    space.eventually(
        lambda: {pod.metadata.labels["tradewind.dev/task"] for pod in space.pods_of(falls)} == {"t", "u"},
        "what never began is gone, what ran is kept",
    )

    # Pods that are deleted while no controller is watching are looked up, one by one.
    space.dag("long", task("t", "sleep 600", retries={"limit": 0, "onLost": 0}), task("u", "sleep 600"))
    run = space.run("long")
    for name in ("t", "u"):
        space.wait_state(run, name, "Running")
    [lost] = [found.metadata.name for found in space.pods_of(run) if found.metadata.labels["tradewind.dev/task"] == "t"]
    release.kubectl.run("scale", "deployment", NAME, "--replicas=0")
    space.eventually(lambda: not release.pods(), "no controller is left")
    space.kubectl.run("delete", "pod", lost, "--force", "--grace-period=0")
    release.kubectl.run("scale", "deployment", NAME, "--replicas=2")
    release.wait_leader()
    space.eventually(lambda: space.task(run, "t").get("state") == "Failed", "the lost try is noticed")
    space.witness.delete(space.name, "dagruns", run)
    space.witness.delete(space.name, "dagruns", asks)


def revisions(space: Space, dag: str) -> list[str]:
    """Names of the revisions of a Dag."""
    return space.kubectl.run("get", "controllerrevisions", f"-l=tradewind.dev/dag={dag}", "-o", "name").split()


def test_tasks_wait_for_the_kinds_that_the_values_allow(release: Release, space: Space) -> None:
    service: Manifest = {"apiVersion": "v1", "kind": "Service", "name": "db", "jsonPath": ".spec.type"}
    deployment: Manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "db", "condition": {"type": "x"}}
    space.dag(
        "waits",
        {"name": "service", "waitFor": {"object": {**service, "value": "ClusterIP"}}},
        {"name": "deployment", "waitFor": {"object": deployment}},
        {"name": "secret", "waitFor": {"object": {**service, "kind": "Secret", "value": "x"}}},
    )
    run = space.run("waits")
    why = "but the controller may not read services: add them to waitFor.resources of the Helm chart"
    messages = {
        "service": f"waiting for Service 'db', {why}",
        "deployment": "waiting for Deployment 'db', which does not exist",
        "secret": "waitFor.object: tasks cannot wait for a Secret: the controller reads none",
    }
    for name, message in messages.items():
        space.eventually(lambda n=name, m=message: space.task(run, n).get("message") == m, f"{name}: {message}")
    assert space.task(run, "secret")["state"] == "Failed"

    space.kubectl.run("create", "service", "clusterip", "db", "--tcp=5432")
    release.upgrade('--set-json=waitFor.resources=[{"apiGroups": [""], "resources": ["services"]}]')

    space.wait_state(run, "service", "Succeeded")
    space.witness.delete(space.name, "dagruns", run)


def test_dags_of_users_who_may_not_create_pods_are_rejected(space: Space) -> None:
    """The controller creates Pods with its own rights: no user may use those beyond their own."""
    rule: Manifest = {"apiGroups": ["tradewind.dev"], "resources": ["dags", "dagruns", "backfills"], "verbs": ["*"]}
    role: Manifest = {"apiVersion": RBAC, "kind": "Role", "metadata": {"name": "dags-only"}, "rules": [rule]}
    for name, kind, given in (("ann", "Role", "dags-only"), ("bob", "ClusterRole", "edit")):
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": given}
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}
        binding = {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}
        space.kubectl.apply(role, {"apiVersion": RBAC, "kind": "RoleBinding", **binding})
    dag = {"apiVersion": API_VERSION, "kind": "Dag", "metadata": {"name": "hers"}}
    dag["spec"] = {"tasks": [{"name": "t", "image": "busybox:1.36", "command": ["true"]}]}
    run = {"apiVersion": API_VERSION, "kind": "DagRun", "metadata": {"name": "hers"}, "spec": {"dag": "hers"}}

    def attempt(user: str, *words: str, manifest: Manifest | None = None) -> str:
        """Return kubectl's error for a user; empty if the command succeeds."""
        stdin = yaml.safe_dump(manifest) if manifest else ""
        done = space.kubectl.attempt(*words, f"--as={user}", stdin=stdin)
        return done.stderr if done.returncode else ""

    create = ("create", "-f", "-")
    # The roles of a new binding may take a moment.
    space.eventually(lambda: "may not create Pods" in attempt("ann", *create, manifest=dag), "ann is refused")
    space.eventually(lambda: not attempt("bob", *create, manifest=dag), "bob is not")
    changed = attempt("ann", "patch", "dag", "hers", "--type=merge", "-p", '{"spec": {"description": "mine"}}')
    assert f"user 'ann' may not create Pods in namespace '{space.name}'" in changed
    assert attempt("ann", "label", "dag", "hers", "a=b") == ""
    # She may run a Dag of another author, as it is.
    assert attempt("ann", *create, manifest=run) == ""
    space.wait_succeeded("hers")


def test_uninstall_leaves_the_dags_and_nothing_in_the_way(release: Release, space: Space, real: RealCluster) -> None:
    space.dag("guarded", task("long", "sleep 600"), resultProtection="Finalizer")
    run = space.run("guarded")
    space.wait_state(run, "long", "Running")
    [pod] = space.pods_of(run)
    assert pod.metadata.finalizers == ["tradewind.dev/result"]
    many = [task(f"t-{i}", "sleep 1") for i in range(100)]
    space.dag("busy", *many, resultProtection="Finalizer", maxActiveTasks=6)
    busy = space.run("busy")
    space.wait_state(busy, "t-3", "Succeeded")

    given = {who: granted(release.kubectl, release.namespace, who) for who in (NAME, HOOK)}
    seconds = release.uninstall()

    assert seconds < UNINSTALL_SECONDS
    released = re.search(r"finalizer removed from (\d+) Pod", release.hook_log)
    assert released, release.hook_log
    assert int(released[1]) > 0
    assert len(space.pods_of(busy)) < len(many), "there was more to start"
    assert not [pod.metadata.name for pod in space.pods() if pod.metadata.finalizers]
    [pod] = space.pods_of(run)
    assert pod.metadata.deletion_timestamp is None
    space.eventually(lambda: not release.remains(), f"nothing is left: {release.remains()}")
    assert space.witness.get(space.name, "dags", "guarded")
    assert space.witness.get(space.name, "dagruns", run)["status"]["phase"] == "Running"
    crds = release.kubectl.run("get", "crds", "-o", "name")
    assert crds.count(".tradewind.dev") >= 3
    if real.local is not None:
        for who, rights in given.items():
            used, forbidden = asked(real.local.audit_log, release.namespace, who)
            assert forbidden - REFUSED == set(), "something is missing from the chart's roles"
            assert rights - used - NOT_SEEN == set(), "the chart grants what is of no use"
    space.delete()
    space.wait_gone()


def test_a_release_for_some_namespaces(real: RealCluster, witness: Witness, image: None) -> None:
    release = Release(real, witness)
    ours, theirs, gone = (Space(real, witness, release, label) for label in ("ours", "theirs", "gone"))
    try:
        watched = f"--set=namespaces={{{ours.name},{gone.name}}}"
        release.install("--set=scope=namespaces", watched, "--set=crds.install=false")
        for space in (ours, theirs):
            space.dag("hello", task("hello", "true"))
            space.run("hello", "hello")
        ours.wait_succeeded("hello")
        stay(2, lambda: not theirs.status("hello"), "the other namespace is none of its business")
        cluster_wide = release.kubectl.run("get", "clusterroles,clusterrolebindings", "-o", "name")
        assert "tradewind" not in cluster_wide
        ours.dag("guarded", task("long", "sleep 600"), resultProtection="Finalizer")
        ours.wait_state(ours.run("guarded", "guarded"), "long", "Running")
        gone.delete()
        gone.wait_gone()

        assert release.uninstall() < UNINSTALL_SECONDS

        assert "finalizer removed from 1 Pod" in release.hook_log
        assert f"skipped namespace {gone.name}: " in release.hook_log
        [pod] = ours.pods_of("guarded")
        assert not pod.metadata.finalizers
        ours.eventually(lambda: not release.remains(), f"nothing is left: {release.remains()}")
        roles = ours.kubectl.run("get", "roles,rolebindings", "-o", "name")
        assert "tradewind" not in roles
    finally:
        release.clear()
        for space in (ours, theirs, gone):
            space.delete()
    for space in (ours, theirs, gone):
        space.wait_gone()


def test_a_release_whose_image_cannot_be_pulled_can_be_uninstalled(real: RealCluster, witness: Witness) -> None:
    release = Release(real, witness)
    try:
        absent = ("--set=image.repository=registry.invalid/tradewind", "--set=uninstallHook.timeoutSeconds=5")
        release.helm("install", NAME, str(CHART), "--take-ownership", "--force-conflicts", *absent)
        done = release.attempt("uninstall", NAME)
        assert done.returncode != 0
        assert f"{HOOK} not ready" in done.stderr
        assert "add --no-hooks" in release.helm("get", "notes", NAME)

        release.helm("uninstall", NAME, "--no-hooks")

        assert release.attempt("status", NAME).returncode != 0
    finally:
        release.attempt("uninstall", NAME, "--no-hooks")
        release.delete_namespace()
