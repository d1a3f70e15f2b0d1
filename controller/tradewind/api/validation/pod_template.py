"""Whether a podTemplate stays within what a task's Pod may be."""

from collections.abc import Iterator, Mapping
from typing import Any

from tradewind.api.names import PREFIX
from tradewind.api.validation.problem import Problem


def check_pod_template(template: Mapping[str, Any] | None, field: str) -> Iterator[Problem]:
    """The outer shape; what a Pod may say inside is the API server's to check when the Pod is made."""
    for key in template or {}:
        if key not in ("metadata", "spec"):
            yield Problem("InvalidPodTemplate", f"{field}.{key}", "a Pod template has metadata and spec only")
    metadata = (template or {}).get("metadata", {})
    spec = (template or {}).get("spec", {})
    for key, part in (("metadata", metadata), ("spec", spec)):
        if not isinstance(part, Mapping):
            yield Problem("InvalidPodTemplate", f"{field}.{key}", "must be an object")
            return
    for key, values in metadata.items():
        if key not in ("labels", "annotations"):
            yield Problem("InvalidPodTemplate", f"{field}.metadata.{key}", "only labels and annotations can be set")
        elif not isinstance(values, Mapping):
            yield Problem("InvalidPodTemplate", f"{field}.metadata.{key}", "must be an object")
        else:
            for name in values:
                if str(name).startswith(PREFIX):
                    place = f"{field}.metadata.{key}"
                    yield Problem("InvalidPodTemplate", place, f"{name!r}: names in {PREFIX} are Tradewind's own")
    if spec.get("restartPolicy", "Never") != "Never":
        message = "must be Never: what is tried again, and how often, is said by retries"
        yield Problem("InvalidPodTemplate", f"{field}.spec.restartPolicy", message)
    for key in ("containers", "initContainers", "volumes", "tolerations", "imagePullSecrets"):
        items = spec.get(key, [])
        if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
            yield Problem("InvalidPodTemplate", f"{field}.spec.{key}", "must be a list of objects")
        elif key in ("containers", "initContainers", "volumes") and not all(item.get("name") for item in items):
            yield Problem("InvalidPodTemplate", f"{field}.spec.{key}", "each needs a name")
