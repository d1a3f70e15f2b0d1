"""Validation of requests to rerun, mark or stop, and of their requester."""

from tradewind.api.dag import DagSpec
from tradewind.api.groups import Groups
from tradewind.api.run_request import MAX_USER, RunRequest
from tradewind.api.validation.known import Known
from tradewind.api.validation.problem import Problem


def check_request(request: RunRequest, dag: DagSpec | None = None) -> list[Problem]:
    """Check `request`; its tasks are checked only if the Dag of the run's revision is given."""
    problems = []
    if request.type == "Mark" and request.state is None:
        message = "is required for Mark: Succeeded, Failed or Skipped"
        problems.append(Problem("InvalidRequest", "spec.request.state", message))
    if request.type != "Mark" and request.state is not None:
        message = f"applies only to Mark: remove it for {request.type}"
        problems.append(Problem("InvalidRequest", "spec.request.state", message))
    if dag is None:
        return problems
    groups = Groups(dag)
    tasks = {task.name: task for task in dag.tasks}
    known = Known("task or group", [*tasks, *groups.named])
    for named in request.tasks or ():
        name, _, index = named.partition("[")
        if name not in known:
            message = known.unknown(name)
        elif index and name in groups.named:
            message = f"{named!r}: a group has no instances: use a task of it, as in task[{index}"
        elif index and not (tasks[name].for_each or groups.mapped(tasks[name].group)):
            message = f"{named!r}: {name!r} is not mapped and has only one instance: write {name}"
        else:
            continue
        problems.append(Problem("InvalidRequest", "spec.request.tasks", message))
    return problems


def check_requester(request: RunRequest, user: str) -> list[Problem]:
    """Check that requestedBy is the user of the admission request; `user` is that user's name."""
    user = user[:MAX_USER]
    if request.requested_by == user:
        return []
    given = "is not set" if request.requested_by is None else f"is {request.requested_by!r}"
    message = f"{given}; it must be the requesting user, {user!r}"
    return [Problem("InvalidRequest", "spec.request.requestedBy", message)]
