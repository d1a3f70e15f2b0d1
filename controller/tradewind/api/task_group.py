"""What one group of a Dag may say."""

from typing import Annotated

from pydantic import ConfigDict, Field

from tradewind.api.mapping import Combine, Sources
from tradewind.api.model import LIST_SET, Model, Name, Text, cel


class TaskGroup(Model):
    """Tasks that other tasks may depend on together, and that may be mapped together. A task says which group it is in
    by its own field `group`."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                cel(
                    "!has(self.dependsOn) || !(self.name in self.dependsOn)",
                    "a group cannot name itself in dependsOn",
                ),
                cel("!has(self.group) || self.group != self.name", "a group cannot be inside itself"),
            ]
        }
    )

    name: Name
    """Name of the group, unique among the groups and tasks of the Dag; a DNS label."""
    description: Text | None = None
    """What the group is for, in a line or two."""
    group: Name | None = None
    """The group that this one is inside of."""
    depends_on: Annotated[list[Name], Field(max_length=1024, json_schema_extra=LIST_SET)] | None = None
    """Tasks and groups that come before the first tasks of this group. Those have to wait for them by their own
    triggerRule."""
    for_each: Sources | None = None
    """What the whole group is mapped over: each item gets an instance of every task, and a task waits only for those
    of the same item. `{items: […]}`, `{param: name}`, `{output: task.field}`, or a list of them."""
    combine: Combine | None = None
    """How several sources of forEach make items. Product: every combination. Zip: position by position. Default:
    Product."""
