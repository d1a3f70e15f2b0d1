"""Every reason that the code gives is in the table of tradewind.api.reasons, and every one there is given somewhere."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tradewind.api.reasons import REASONS, SECTIONS

PACKAGE = Path(__file__).parents[3] / "controller" / "tradewind"

POSITIONS = {
    "CannotWait": [0],
    "Note": [2],
    "Outcome": [1],
    "Problem": [0],
    "RunEnd": [1],
    "StopReason": [0],
    "Trouble": [0],
    "RunPending": [0],
    "Requeue": [0],
    "_condition": [2],
    "_end": [1],
    "_postponed": [1],
    "_refuse": [2],
    "_tell": [1],
    "end": [1],
    "end_conditions": [1],
    "fail": [0, 1],
    "never": [0],
    "not_yet": [0],
    "note": [1, 3],
    "record": [2],
    "skip_unfinished": [0],
}
"""Where the calls that give a reason have it; as a keyword it is `reason` or `cause`."""
WORD = re.compile(r"[A-Z][A-Za-z-]+")
NOT_SHOWN = {"ContainerCreating", "DagNotSeen", "FieldValueInvalid", "NotLoaded", "PodInitializing"}
"""Signals between parts of the code, and words of Kubernetes that nothing passes on."""

pytestmark = pytest.mark.unit


def sources() -> list[ast.Module]:
    paths = [path for path in PACKAGE.rglob("*.py") if PACKAGE / "api" / "reasons" not in path.parents]
    return [ast.parse(path.read_text()) for path in paths]


def constants(modules: list[ast.Module]) -> dict[str, list[ast.expr]]:
    """Return the values of the constants of all modules, by name."""
    found: dict[str, list[ast.expr]] = {}
    for module in modules:
        for node in module.body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(target, ast.Name):
                        found.setdefault(target.id, []).append(node.value)
    return found


def expressions(node: ast.AST) -> Iterator[ast.expr]:
    """The places in which something gives a reason."""
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            for position in POSITIONS.get(name, ()):
                yield from node.args[position : position + 1]
            for keyword in node.keywords:
                if keyword.arg in ("reason", "cause"):
                    yield keyword.value
        case ast.Assign(targets=[target], value=value):
            pairs = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = list(zip(target.elts, value.elts, strict=True))
            for each, given in pairs:
                if re.search(r"reason$|^why$|REASONS$|^POD_DELETED$|^PREEMPTED$", name_of(each), re.IGNORECASE):
                    yield given
        case ast.Dict():
            for key, given in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "reason":
                    yield given
        case ast.BoolOp(op=ast.Or(), values=values):
            if any(re.search(r"reason$", name_of(each)) for each in values):
                yield from values
        case ast.FunctionDef(name=name) if name.endswith("_reason"):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and inner.value is not None:
                    yield inner.value


def name_of(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
    return ""


def words(node: ast.expr, known: dict[str, list[ast.expr]]) -> Iterator[str]:
    """The texts that an expression may be."""
    match node:
        case ast.Constant(value=str(text)) if WORD.fullmatch(text):
            yield text
        case ast.IfExp(body=body, orelse=other):
            yield from words(body, known)
            yield from words(other, known)
        case ast.BoolOp(values=parts) | ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            for part in parts:
                yield from words(part, known)
        case ast.Dict(values=values):
            for value in values:
                yield from words(value, known)
        case ast.Call(func=ast.Name(id="frozenset"), args=args):
            for part in args:
                yield from words(part, known)
        case ast.Subscript(value=inner):
            yield from words(inner, known)
        case ast.Name(id=name) | ast.Attribute(attr=name) if name.lstrip("_").isupper():
            for value in known.get(name, ()):
                yield from words(value, known)


def given() -> set[str]:
    modules = sources()
    known = constants(modules)
    return {
        word
        for module in modules
        for node in ast.walk(module)
        for expression in expressions(node)
        for word in words(expression, known)
    }


def test_every_reason_of_the_code_is_in_the_table() -> None:
    found = given() - NOT_SHOWN
    assert len(found) > 100
    assert not found - set(REASONS)


def test_every_reason_of_the_table_is_in_the_code() -> None:
    texts = {
        node.value
        for module in sources()
        for node in ast.walk(module)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    ours = {name for section in SECTIONS if not section.of_kubernetes for name in section.reasons}
    assert not ours - texts


def test_a_reason_is_in_one_section() -> None:
    assert len(REASONS) == sum(len(section.reasons) for section in SECTIONS)


def test_each_says_what_it_means_in_a_sentence_and_how_to_continue() -> None:
    for name, reason in REASONS.items():
        assert WORD.fullmatch(name)
        assert reason.meaning.endswith("."), name
        assert reason.fix == "" or reason.fix.endswith("."), name
