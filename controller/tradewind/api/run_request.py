"""Requests on an existing run (rerun, mark, stop), and the record of them in its status."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from tradewind.api.model import LIST_ATOMIC, LIST_SET, Model, Timestamp, cel

TASK_OR_INSTANCE = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\[[0-9]{1,5}\])?$"
"""A task, a group, or one instance of a mapped task: `load`, `load[3]`."""

MAX_USER = 253
"""The number of characters of a user's name that are kept."""

RequestType = Literal["Rerun", "Mark", "Stop"]
MarkState = Literal["Succeeded", "Failed", "Skipped"]
RevisionChoice = Literal["Same", "Latest"]
TaskOrInstance = Annotated[str, Field(pattern=TASK_OR_INSTANCE, min_length=1, max_length=70)]


class RunRequest(Model):
    """A request on the run. The controller applies it once, removes it, and records it in `status.requests`."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                cel("(self.type == 'Mark') == has(self.state)", "Mark needs a state; Rerun and Stop take none"),
            ]
        }
    )

    id: Annotated[str, Field(min_length=1, max_length=63)]
    """Identifies the request within the run: a request whose id was already applied is not applied again."""
    type: RequestType
    """Rerun: run tasks again, with new tries. Mark: set the state of tasks, or of the run. Stop: stop running tasks and
    skip the others."""
    requested_by: Annotated[str, Field(max_length=MAX_USER)] | None = None
    """User name of the requester. The webhook verifies it; without the webhook it is unverified."""
    tasks: Annotated[list[TaskOrInstance], Field(max_length=2000, json_schema_extra=LIST_SET)] | None = None
    """Tasks, groups or single instances (`load[3]`). Default: all tasks; for Mark the run as a whole."""
    only_failed: bool | None = None
    """Select only tasks that failed, or did not run because others failed."""
    upstream: bool | None = None
    """Also select the upstream tasks."""
    downstream: bool | None = None
    """Also select the downstream tasks."""
    revision: RevisionChoice | None = None
    """Revision of the Dag for a rerun. Same: the revision that the run started with. Latest: the current Dag. Default:
    Same."""
    state: MarkState | None = None
    """The state to set; only for Mark."""
    message: Annotated[str, Field(max_length=1024)] | None = None
    """Reason for the request, for people."""


class RequestStatus(Model):
    """A request and its outcome."""

    id: str
    """Id of the request."""
    type: RequestType
    """Rerun, Mark or Stop."""
    requested_by: str | None = None
    """User name of the requester."""
    tasks: Annotated[list[str], Field(json_schema_extra=LIST_ATOMIC)] | None = None
    """Tasks, groups or single instances that the request named."""
    only_failed: bool | None = None
    """Whether only failed tasks were selected."""
    upstream: bool | None = None
    """Whether upstream tasks were selected too."""
    downstream: bool | None = None
    """Whether downstream tasks were selected too."""
    revision: RevisionChoice | None = None
    """The requested revision of the Dag."""
    requested_state: MarkState | None = None
    """The requested state, for Mark."""
    request_message: str | None = None
    """Reason for the request, as given by the requester."""
    state: Literal["Applied", "Rejected"]
    """Whether the request was applied."""
    message: str | None = None
    """Result of the request, or why it was rejected."""
    time: Timestamp | None = None
    """When the request was applied or rejected."""
