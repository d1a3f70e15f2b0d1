"""The parts of Kubernetes' object model that our resources share."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tradewind.api.model import Model, Timestamp


class ObjectMeta(BaseModel):
    """Kubernetes metadata. Only the fields that we read are declared; the API server validates the rest."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = ""
    generateName: str = ""  # noqa: N815 - Kubernetes' name
    namespace: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    uid: str = ""
    ownerReferences: list[dict[str, Any]] = Field(default_factory=list)  # noqa: N815 - Kubernetes' name


class Condition(Model):
    """One aspect of the object's state, as in Kubernetes' own resources."""

    type: Annotated[str, Field(min_length=1, max_length=316)]
    """Name of the condition."""
    status: Literal["True", "False", "Unknown"]
    """Status of the condition."""
    reason: Annotated[str, Field(min_length=1, max_length=1024)]
    """One CamelCase word for programs."""
    message: Annotated[str, Field(max_length=32768)]
    """A message for people."""
    last_transition_time: Timestamp
    """When status last changed."""
    observed_generation: int | None = None
    """Generation of the spec that the condition reflects."""
