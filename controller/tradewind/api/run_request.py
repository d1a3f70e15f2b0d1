"""What a person may ask of a run that exists: to run tasks again, to mark them, to stop; and the record of it."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from tradewind.api.model import LIST_ATOMIC, LIST_SET, Model, Timestamp, cel

TASK_OR_INSTANCE = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\[[0-9]{1,5}\])?$"
"""A task, a group, or one instance of a mapped task: `load`, `load[3]`."""

MAX_USER = 253
"""Characters of a user's name that are kept."""

RequestType = Literal["Rerun", "Mark", "Stop"]
MarkState = Literal["Succeeded", "Failed", "Skipped"]
RevisionChoice = Literal["Same", "Latest"]
TaskOrInstance = Annotated[str, Field(pattern=TASK_OR_INSTANCE, min_length=1, max_length=70)]


class RunRequest(Model):
    """Something asked of the run. The controller applies it once, removes it and keeps it in `status.requests`."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                cel("(self.type == 'Mark') == has(self.state)", "Mark needs a state; Rerun and Stop take none"),
            ]
        }
    )

    id: Annotated[str, Field(min_length=1, max_length=63)]
    """Tells this request from every other one of the run: one of an id that was applied already is not applied
    again."""
    type: RequestType
    """Rerun: run tasks again, with new tries. Mark: set the state of tasks, or of the run. Stop: end what runs and skip
    the rest."""
    requested_by: Annotated[str, Field(max_length=MAX_USER)] | None = None
    """Who asks: their user name, which the webhook checks. Without the webhook it is what they say."""
    tasks: Annotated[list[TaskOrInstance], Field(max_length=2000, json_schema_extra=LIST_SET)] | None = None
    """Tasks, groups or single instances (`load[3]`) that are meant. Default: all tasks; of Mark the run as a whole."""
    only_failed: bool | None = None
    """Of the tasks meant, only those that failed, or did not run because others failed."""
    upstream: bool | None = None
    """Also the tasks before those meant."""
    downstream: bool | None = None
    """Also the tasks after those meant."""
    revision: RevisionChoice | None = None
    """Which Dag a rerun runs. Same: the one the run began with. Latest: the Dag as it is now. Default: Same."""
    state: MarkState | None = None
    """The state to set, with Mark."""
    message: Annotated[str, Field(max_length=1024)] | None = None
    """Why, for people who read it later."""


class RequestStatus(Model):
    """A request and what became of it."""

    id: str
    """Id of the request."""
    type: RequestType
    """Rerun, Mark or Stop."""
    requested_by: str | None = None
    """Who asked."""
    tasks: Annotated[list[str], Field(json_schema_extra=LIST_ATOMIC)] | None = None
    """Tasks, groups or single instances that were named."""
    only_failed: bool | None = None
    """Whether of those only the failed ones were meant."""
    upstream: bool | None = None
    """Whether the tasks before them were meant too."""
    downstream: bool | None = None
    """Whether the tasks after them were meant too."""
    revision: RevisionChoice | None = None
    """Which Dag was asked for."""
    requested_state: MarkState | None = None
    """The state that Mark asked for."""
    request_message: str | None = None
    """Why it was asked for, in the words of who asked."""
    state: Literal["Applied", "Rejected"]
    """Whether it was carried out."""
    message: str | None = None
    """What was done, or why nothing was."""
    time: Timestamp | None = None
    """When that was decided."""
