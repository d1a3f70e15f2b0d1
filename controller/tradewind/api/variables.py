"""Variables: `{{ vars.<configmap>.<key> }}`, from ConfigMaps that carry the label `tradewind.dev/variables: "true"`.

Templates may read no other ConfigMap. Where a name has `-` or `.`, `_` does as well: `vars.my_settings.log_level` is
the key `log.level` of `my-settings`.
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
"""Bytes of data that a ConfigMap of variables may have: more could not be rendered, and the controller keeps them."""

ConfigMaps = Mapping[str, Mapping[str, str] | None]
"""Data by name of the ConfigMap; None where there is more than MAX_BYTES of it."""

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_ACCESS = r"\s*(?:\.\s*(\w+)|\[\s*(" + QUOTED + r")\s*\])"
_OPTIONAL = r"(\s*\|\s*d(?:efault)?\b|\s+is\s+(?:not\s+)?(?:un)?defined\b)?"
_USE = re.compile(QUOTED + r"|(?<![\w.])vars\b" + _ACCESS + _ACCESS + _OPTIONAL, re.DOTALL)


class MissingVariableError(TemplateError):
    """A template names a variable that is not there."""


class Variables:
    """What templates see as `vars`.

    It has no attribute that a template could name, so that each name is that of a ConfigMap, and remembers what was
    looked up in vain.
    """

    __slots__ = ("_config_maps", "_missing", "_namespace")

    def __init__(self, config_maps: ConfigMaps | None = None, namespace: str | None = None) -> None:
        """`namespace` None: the ConfigMaps are not those of a cluster, but from files and options."""
        self._config_maps = config_maps or {}
        self._namespace = namespace
        self._missing: tuple[str, str] | None = None

    # Whoever has items by any name would be taken for a list without end, as by `vars[::-1]`.
    __iter__ = None
    __contains__ = None

    def __getitem__(self, name: object) -> "_Data":
        # There is no missing ConfigMap, only missing keys, so that `| default(…)` is good for both.
        return _Data(self, str(name))


class _Data:
    """What templates see of one ConfigMap."""

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
    """The value of a variable, or None where there is none."""
    data = config_maps.get(spelling(config_maps, name)) or {}
    return data.get(spelling(data, key))


def spelling(names: Mapping[str, Any], name: str) -> str:
    """The name that is meant by one in which `_` stands for `-` or `.`; `name` itself where none is."""
    if name in names or "_" not in name:
        return name
    return min((known for known in names if known.replace("-", "_").replace(".", "_") == name), default=name)


def explain_missing(variables: Variables, error: str) -> str:
    """What to do about a template that failed with `error`; empty where that was not for want of a variable."""
    missing = variables._missing
    # minijinja names what is undefined, but for a subscript that is not a literal.
    if missing is None or not ("`vars" in error or "[...]" in error or "undefined" not in error):
        return ""
    name, key = missing
    return f": {why_missing(variables._config_maps, name, key, variables._namespace)}"


def why_missing(config_maps: ConfigMaps, name: str, key: str, namespace: str | None) -> str:
    """Why there is no such variable, and how to make it."""
    found = spelling(config_maps, name)
    if found not in config_maps:
        return _how_to_make(name if _NAME.fullmatch(name) else name.replace("_", "-"), key, namespace)
    data = config_maps[found]
    if data is None:
        return f"the ConfigMap {found!r} has more than {MAX_BYTES} bytes of data, too many for variables; split it"
    near = difflib.get_close_matches(key, data, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(sorted(data)[:10]) or 'none'}"
    return f"the ConfigMap {found!r} has no key {key!r}; {hint}"


def _how_to_make(name: str, key: str, namespace: str | None) -> str:
    # What is not a name stays out of the commands: a shell would read it as code.
    if not _NAME.fullmatch(name):
        return f"{name!r} cannot be the name of a ConfigMap"
    if not _KEY.fullmatch(key):
        return f"{key!r} cannot be a key of a ConfigMap"
    label = f"the label {LABEL_VARIABLES}"
    if namespace is None:
        return f'no ConfigMap {name!r} with {label}: "true" was given; give its file, or --var {name}.{key}=VALUE'
    return (
        f"namespace {namespace!r} has no ConfigMap {name!r} with {label}=true. If there is none, "
        f"`kubectl -n {namespace} create configmap {name} --from-literal={key}=VALUE` makes it; "
        f"`kubectl -n {namespace} label configmap {name} {LABEL_VARIABLES}=true` lets templates read it"
    )


@dataclass(frozen=True, slots=True)
class VariableUse:
    """A variable that a template names; `optional` where the template says what to do without it."""

    config_map: str
    key: str
    optional: bool

    def __str__(self) -> str:
        """As in a template."""
        names = (self.config_map, self.key)
        return "vars" + "".join(f".{name}" if re.fullmatch(r"\w+", name) else f"['{name}']" for name in names)


def variable_uses(text: str) -> Iterator[VariableUse]:
    """The variables that the templates in `text` name outright."""
    for expression in expressions(text):
        for match in _USE.finditer(expression):
            name, quoted_name, key, quoted_key, optional = match.groups()
            if name or quoted_name:
                yield VariableUse(name or quoted_name[1:-1], key or quoted_key[1:-1], bool(optional))
