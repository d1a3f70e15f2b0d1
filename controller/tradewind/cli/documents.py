"""YAML files as the API server reads them, with the line of every field.

Differs from plain PyYAML where Kubernetes does: a date, `12:30` and `1_000` stay strings, and a duplicate key is an
error.
"""

import contextlib
import os
import re
import sys
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import click
import yaml

MAX_BYTES = 64 * 1024 * 1024
"""Limit of a file: a device may be endless."""
MAX_VALUES = 1_000_000
"""Limit of a document with its aliases expanded: a few lines can expand to billions of values."""
_SUFFIXES = (".yaml", ".yml", ".json")
_PART = re.compile(r"\[([^\]]*)\]|([^.\[]+)")


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file."""

    file: str
    manifest: Any
    root: yaml.Node

    @property
    def kind(self) -> str:
        """Its kind; empty if it has none."""
        kind = self.manifest.get("kind") if isinstance(self.manifest, dict) else None
        return kind if isinstance(kind, str) else ""

    @property
    def name(self) -> str:
        """Its name; empty if it has none."""
        metadata = self.manifest.get("metadata") if isinstance(self.manifest, dict) else None
        name = metadata.get("name") if isinstance(metadata, dict) else None
        return name if isinstance(name, str) else ""

    def line_of(self, field: str) -> int:
        """Return the line of `spec.tasks[extract].image`, or of its nearest parent that exists."""
        node = self.root
        line = node.start_mark.line
        for match in _PART.finditer(field):
            item, key = match.groups()
            found = _item(node, item) if key is None else _value(node, key)
            if found is None:
                break
            mark, node = found
            line = mark.start_mark.line
        return line + 1


def read_documents(paths: Sequence[str], *, recursive: bool = False) -> tuple[list[Document], list[str]]:
    """Return all documents of the files, and an error for each file that cannot be read.

    `-` is stdin; a folder means its YAML files.
    """
    documents: list[Document] = []
    unreadable: list[str] = []
    for file, text in _texts(paths, recursive):
        try:
            if isinstance(text, _UnreadableError):
                raise text
            documents += _parse(file, text)
        except _UnreadableError as error:
            unreadable.append(str(error))
        except yaml.YAMLError as error:
            unreadable.append(_explain(file, error))
        except RecursionError:
            unreadable.append(f"{file}: is nested too deeply")
    return documents, unreadable


class _UnreadableError(Exception):
    """A file that does not exist or is not text; the message says which and why."""


def _texts(paths: Sequence[str], recursive: bool) -> Iterator[tuple[str, str | _UnreadableError]]:
    for path in paths:
        try:
            files = _files(path, recursive, others={str(Path(each)) for each in paths})
        except (_UnreadableError, OSError, ValueError) as error:
            yield path, _unreadable(path, error)
            continue
        for file in files:
            try:
                yield "<stdin>" if file == "-" else file, _text(file)
            except (OSError, ValueError) as error:
                yield file, _unreadable(file, error)


def _files(path: str, recursive: bool, *, others: set[str]) -> list[str]:
    """Return the file, or the YAML files of the folder. `others` are all paths given."""
    if path == "-" or not Path(path).is_dir():
        return [path]
    files = sorted(str(entry) for entry in _entries(Path(path), recursive) if entry.suffix in _SUFFIXES)
    folders = [] if recursive else sorted(Path(path).iterdir())
    below = [entry for entry in folders if str(entry) not in others and _has_yaml(entry)]
    if not files:
        more = f"; use -R to read its subfolders, such as {below[0]}" if below else ""
        raise _UnreadableError(f"the folder {path} contains no YAML files{more}")
    if below:
        named = ", ".join(map(str, below[:3])) + (" …" if len(below) > 3 else "")
        click.echo(f"note: skipped subfolders of {path} ({named}); use -R to read them", err=True)
    return files


def _entries(folder: Path, recursive: bool) -> Iterator[Path]:
    if not recursive:
        yield from folder.iterdir()
        return
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in files)


def _has_yaml(folder: Path) -> bool:
    """True for a folder that contains a YAML file and is not hidden."""
    if folder.name.startswith(".") or not folder.is_dir():
        return False
    with contextlib.suppress(OSError):
        return any(entry.suffix in _SUFFIXES for entry in folder.iterdir())
    return False


def _text(file: str) -> str:
    if file != "-":
        with Path(file).open("rb") as stream:
            return _decoded(stream)
    # Read bytes: UTF-8 may not be valid in this locale.
    given = getattr(sys.stdin, "buffer", None)
    return _decoded(given) if given is not None else sys.stdin.read() if sys.stdin else ""


def _decoded(stream: BinaryIO) -> str:
    content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES // 1024**2} MiB")
    return content.decode()


def _unreadable(file: str, error: Exception) -> _UnreadableError:
    if isinstance(error, _UnreadableError):
        return error
    name = "<stdin>" if file == "-" else file
    if isinstance(error, UnicodeDecodeError):
        return _UnreadableError(f"{name} is not a UTF-8 text file")
    why = error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)
    return _UnreadableError(f"cannot read {name}: {why}")


def _parse(file: str, text: str) -> Iterator[Document]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is not None and _size(node, {}) > MAX_VALUES:
                message = f"its aliases expand to more than {MAX_VALUES} values"
                raise yaml.constructor.ConstructorError(None, None, message, node.start_mark)
            manifest = loader.construct_document(node) if node is not None else None
            if node is not None and manifest is not None:
                yield Document(file, manifest, node)
    finally:
        loader.dispose()


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """Return the number of values in a node with its aliases expanded."""
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = MAX_VALUES + 1  # for an alias of a node that contains it
    below = [each for pair in node.value for each in pair] if isinstance(node, yaml.MappingNode) else node.value
    known[id(node)] = 1 if isinstance(node, yaml.ScalarNode) else 1 + sum(_size(each, known) for each in below)
    return known[id(node)]


_RESERVED = re.compile(r"found character '([@`])' that cannot start any token")


def _explain(file: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    context = getattr(error, "context", None)
    if found := _RESERVED.search(problem):
        context, problem = None, f'text that begins with {found[1]} must be quoted in YAML, as in "@daily"'
    where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
    return f"{where}: {f'{context}: ' if context else ''}{problem}"


class _Loader(yaml.SafeLoader):
    """Reads YAML as Kubernetes' parser does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = key_node.value
            if isinstance(key, str) and key_node.tag != "tag:yaml.org,2002:merge":
                if key in seen:
                    message = f"duplicate key {key!r}"
                    raise yaml.constructor.ConstructorError(None, None, message, key_node.start_mark)
                seen.add(key)
        return super().construct_mapping(node, deep)


def _plain_resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    dropped = {"tag:yaml.org,2002:" + name for name in ("timestamp", "int", "float")}
    return {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in dropped]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.yaml_implicit_resolvers = _plain_resolvers()
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^[-+]?(?:0|[1-9][0-9]*|0[0-7]+|0x[0-9a-fA-F]+|0b[01]+)$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)$"),
    list("-+0123456789."),
)


def _value(node: yaml.Node, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            if key_node.value == key:
                return key_node, value_node
    return None


def _item(node: yaml.Node, name: str) -> tuple[yaml.Node, yaml.Node] | None:
    """Return the item of a list with this name, or at this position."""
    if not isinstance(node, yaml.SequenceNode):
        return None
    for item in node.value:
        named = _value(item, "name")
        if named and named[1].value == name:
            return item, item
    if name.isdigit() and int(name) < len(node.value):
        return node.value[int(name)], node.value[int(name)]
    return None
