"""Replicas: one leads, the other takes over soon, and a leader that was frozen does no harm when it wakes."""

import signal
import time
from typing import Any

import kubernetes

from tests.e2e.busy_run import assert_undisturbed, finished, make_busy
from tests.e2e.spaces import Space
from tests.e2e.stage import Stage, side_by_side

LEASE = "tradewind-controller"


def holder(space: Space) -> str | None:
    """The holder of the lease; None when it was released."""
    try:
        lease: Any = space.witness.leases.read_namespaced_lease(LEASE, space.name)
    except kubernetes.client.ApiException as error:
        assert error.status == 404, error
        return None
    found: str | None = lease.spec.holder_identity
    return found


@side_by_side
def test_sigterm_hands_over_at_once(stage: Stage) -> None:
    """The lease is so long that only its release explains that the other leads."""
    space, controllers = stage.space("leaders"), stage.controllers
    leader = controllers.launch_for(space.name, "--lease-duration=60").wait_leading()
    standby = controllers.launch_for(space.name, "--lease-duration=60").wait_ready()
    make_busy(space)
    space.run("busy", "busy")
    space.eventually(lambda: finished(space, "busy") >= 1, "a task has finished")
    assert not standby.leads()

    leader.stop()
    standby.wait_leading(50)

    assert_undisturbed(space, "busy")
    standby.stop()
    assert holder(space) is None


@side_by_side
def test_a_frozen_leader_is_replaced_and_wakes_as_a_follower(stage: Stage) -> None:
    space, controllers = stage.space("leaders"), stage.controllers
    leader = controllers.launch_for(space.name).wait_leading()
    standby = controllers.launch_for(space.name).wait_ready()
    make_busy(space)
    space.run("busy", "busy")
    space.eventually(lambda: finished(space, "busy") >= 1, "a task has finished")
    leader.process.send_signal(signal.SIGSTOP)
    try:
        standby.wait_leading()
        time.sleep(1)
    finally:
        leader.process.send_signal(signal.SIGCONT)
    space.eventually(lambda: leader.metric("tradewind_leader") == 0, "the frozen leader knows that it was deposed")
    assert_undisturbed(space, "busy")
    assert standby.leads()


@side_by_side
def test_a_standby_that_exits_affects_no_run(stage: Stage) -> None:
    space, controllers = stage.space("leaders"), stage.controllers
    leader = controllers.launch_for(space.name).wait_leading()
    standby = controllers.launch_for(space.name).wait_ready()
    before = holder(space)
    standby.stop()
    assert leader.leads()
    assert holder(space) == before is not None
