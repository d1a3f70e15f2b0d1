"""Variables: `{{ vars.<configmap>.<key> }}`, from ConfigMaps with the label `tradewind.dev/variables: "true"`.

Templates can read no other ConfigMap. `_` matches `-` and `.` in a name: `vars.my_settings.log_level` is the key
`log.level` of `my-settings`.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tradewind.api.names import LABEL_VARIABLES
from tradewind.api.template_tags import QUOTED
from tradewind.api.templates import MAX_RENDERED, TemplateError, expressions

MAX_BYTES = MAX_RENDERED
"""The maximum size of the data of a ConfigMap of variables: a larger value could not be rendered, and the controller
caches all of them."""

ConfigMaps = Mapping[str, Mapping[str, str] | None]
"""The data of each ConfigMap by name; None if it is larger than MAX_BYTES."""

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_ACCESS = r"\s*(?:\.\s*(\w+)|\[\s*(" + QUOTED + r")\s*\])"
_OPTIONAL = r"(\s*\|\s*d(?:efault)?\b|\s+is\s+(?:not\s+)?(?:un)?defined\b)?"
_USE = re.compile(QUOTED + r"|(?<![\w.])vars\b" + _ACCESS + _ACCESS + _OPTIONAL, re.DOTALL)


class MissingVariableError(TemplateError):
    """A template uses a variable that does not exist."""


class Variables:
    """The value `vars` in templates.

    It has no attributes that a template could name, so every name is that of a ConfigMap. It records the lookup that
    failed.
    """

    __slots__ = ("_config_maps", "_missing", "_namespace")

    def __init__(self, config_maps: ConfigMaps | None = None, namespace: str | None = None) -> None:
        """`namespace` is None if the ConfigMaps come from files and options instead of a cluster."""
        self._config_maps = config_maps or {}
        self._namespace = namespace
        self._missing: tuple[str, str] | None = None

    # An object that has an item for every name would be taken for an endless list, as by `vars[::-1]`.
    __iter__ = None
    __contains__ = None

    def __getitem__(self, name: object) -> "_Data":
        # Only keys are ever missing, never a ConfigMap, so that `| default(…)` works for both.
        return _Data(self, str(name))


class _Data:
    """One ConfigMap in templates."""

    __slots__ = ("_name", "_variables")

    def __init__(self, variables: Variables, name: str) -> None:
        self._variables, self._name = variables, name

    __iter__ = None
    __contains__ = None

    def __getitem__(self, key: object) -> str:
        value = look_up(self._variables._config_maps, self._name, str(key))
        if value is None:
            self._variables._missing = self._name, str(key)
            raise KeyError(key)
        return value


def look_up(config_maps: ConfigMaps, name: str, key: str) -> str | None:
    """Return the value of a variable, or None if there is none."""
    data = config_maps.get(spelling(config_maps, name)) or {}
    return data.get(spelling(data, key))


def spelling(names: Mapping[str, Any], name: str) -> str:
    """Return the name that matches `name` with `_` for `-` or `.`; `name` itself if none does."""
    if name in names or "_" not in name:
        return name
    return min((known for known in names if known.replace("-", "_").replace(".", "_") == name), default=name)


def explain_missing(variables: Variables, error: str) -> str:
    """Return the fix for a template that failed with `error`; empty if no missing variable is the cause."""
    missing = variables._missing
    # minijinja names the undefined value, except for a subscript that is not a literal.
    if missing is None or not ("`vars" in error or "[...]" in error or "undefined" not in error):
        return ""
    name, key = missing
    return f": {why_missing(variables._config_maps, name, key, variables._namespace)}"


def why_missing(config_maps: ConfigMaps, name: str, key: str, namespace: str | None) -> str:
    """Return why there is no such variable, and how to create it."""
    found = spelling(config_maps, name)
    if found not in config_maps:
        return _how_to_make(name if _NAME.fullmatch(name) else name.replace("_", "-"), key, namespace)
    data = config_maps[found]
    if data is None:
        return f"the data of ConfigMap {found!r} exceeds {MAX_BYTES} bytes, the limit for variables; split it"
    near = difflib.get_close_matches(key, data, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"its keys: {', '.join(sorted(data)[:10]) or 'none'}"
    return f"the ConfigMap {found!r} has no key {key!r}; {hint}"


def _how_to_make(name: str, key: str, namespace: str | None) -> str:
    # An invalid name stays out of the commands: a shell would run it as code.
    if not _NAME.fullmatch(name):
        return f"{name!r} cannot be the name of a ConfigMap"
    if not _KEY.fullmatch(key):
        return f"{key!r} cannot be a key of a ConfigMap"
    label = f"the label {LABEL_VARIABLES}"
    if namespace is None:
        return f'no ConfigMap {name!r} with {label}: "true" was given; pass its file, or --var {name}.{key}=VALUE'
    return (
        f"namespace {namespace!r} has no ConfigMap {name!r} with {label}=true. Create it: "
        f"`kubectl -n {namespace} create configmap {name} --from-literal={key}=VALUE`; allow templates to read it: "
        f"`kubectl -n {namespace} label configmap {name} {LABEL_VARIABLES}=true`"
    )


@dataclass(frozen=True, slots=True)
class VariableUse:
    """A variable that a template uses; `optional` if the template has a default or a test for it."""

    config_map: str
    key: str
    optional: bool

    def __str__(self) -> str:
        """Return it as written in a template."""
        names = (self.config_map, self.key)
        return "vars" + "".join(f".{name}" if re.fullmatch(r"\w+", name) else f"['{name}']" for name in names)


def variable_uses(text: str) -> Iterator[VariableUse]:
    """Yield the variables that the templates in `text` name literally."""
    for expression in expressions(text):
        for match in _USE.finditer(expression):
            name, quoted_name, key, quoted_key, optional = match.groups()
            if name or quoted_name:
                yield VariableUse(name or quoted_name[1:-1], key or quoted_key[1:-1], bool(optional))
