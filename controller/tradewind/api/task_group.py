"""One group of a Dag."""

from typing import Annotated

from pydantic import ConfigDict, Field

from tradewind.api.mapping import Combine, Sources
from tradewind.api.model import LIST_SET, Model, Name, Text, cel


class TaskGroup(Model):
    """Tasks that other tasks can depend on together, and that can be mapped together. The field `group` of a task names
    the group it belongs to."""

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
    """Purpose of the group, in a line or two."""
    group: Name | None = None
    """Name of the enclosing group."""
    depends_on: Annotated[list[Name], Field(max_length=1024, json_schema_extra=LIST_SET)] | None = None
    """Upstream tasks and groups. The first tasks of this group wait for them by their own triggerRule."""
    for_each: Sources | None = None
    """Maps the whole group: each item gets an instance of every task, and an instance waits only for instances of the
    same item. `{items: […]}`, `{param: name}`, `{output: task.field}`, or a list of them."""
    combine: Combine | None = None
    """Combination of several sources of forEach. Product: every combination. Zip: position by position. Default:
    Product."""
