"""The base of every API model: camelCase in JSON and YAML, snake_case in Python, immutable, unknown fields rejected."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from tradewind.api.duration import OFFSET_PATTERN, PATTERN, parse_duration, parse_offset


class Model(BaseModel):
    """Base of all API objects. Attributes are snake_case; JSON and YAML are camelCase."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready camelCase, without unset fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _duration_text(text: str) -> str:
    parse_duration(text)
    return text


def _offset_text(text: str) -> str:
    parse_offset(text)
    return text


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("has no time zone: write Z or an offset, as in 2026-01-31T06:00:00Z")
    return moment.astimezone(UTC)


def _int_or_str(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | str | float):
        raise ValueError("must be a number or a string")
    return str(value) if isinstance(value, float) else value


Duration = Annotated[
    str,
    AfterValidator(_duration_text),
    WithJsonSchema({"type": "string", "pattern": PATTERN, "maxLength": 32}),
]
Offset = Annotated[
    str,
    AfterValidator(_offset_text),
    WithJsonSchema({"type": "string", "pattern": OFFSET_PATTERN, "maxLength": 33}),
]
"""A duration that may be negative."""
Timestamp = Annotated[datetime, AfterValidator(_utc), WithJsonSchema({"type": "string", "format": "date-time"})]
IntOrString = Annotated[int | str, BeforeValidator(_int_or_str), WithJsonSchema({"x-kubernetes-int-or-string": True})]
Json = Annotated[Any, WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True})]
FreeObject = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})]

DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
Name = Annotated[str, Field(pattern=DNS_LABEL, min_length=1, max_length=63)]
"""A DNS label, like most Kubernetes names: lower case letters, digits and dashes."""

DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
ObjectName = Annotated[str, Field(pattern=DNS_SUBDOMAIN, min_length=1, max_length=253)]
"""A DNS subdomain, like the name of a Secret or ConfigMap."""
IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]*$"
ExitCode = Annotated[int, Field(ge=1, le=255)]
Text = Annotated[str, Field(max_length=4096)]


def list_map(*keys: str) -> dict[str, Any]:
    """Return the schema extension of a list that is a map by `keys`: `kubectl apply` merges its items, duplicates are
    refused."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


LIST_SET: dict[str, Any] = {"x-kubernetes-list-type": "set"}
LIST_ATOMIC: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}


def cel(rule: str, message: str, **extra: Any) -> dict[str, Any]:
    """Return one CEL validation rule of a schema."""
    return {"rule": rule, "message": message, **extra}
