"""Tests and their helpers are where one looks for them, and say what they are about."""

from __future__ import annotations

import ast
import pkgutil
from pathlib import Path

import pytest

import tradewind

TESTS = Path(__file__).parents[1]
FILES = sorted(TESTS.rglob("*.py"))

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("kind", ["unit", "integration"])
def test_folders_are_named_as_the_packages_that_they_test(kind: str) -> None:
    packages = {module.name for module in pkgutil.iter_modules(tradewind.__path__) if module.ispkg}
    folders = {file.parent.name for file in FILES if file.parent.parent == TESTS / kind}
    assert folders - packages <= {"bench", "scale"}


def test_each_folder_is_a_package_that_says_what_it_has() -> None:
    assert not [folder for folder in {file.parent for file in FILES} if not (folder / "__init__.py").exists()]
    silent = [
        file for file in FILES if file.name != "conftest.py" and not ast.get_docstring(ast.parse(file.read_text()))
    ]
    assert not silent


def test_tests_are_in_files_that_are_found() -> None:
    """In a file of another name a test would never run."""
    lost = [
        f"{file.relative_to(TESTS)}: {node.name}"
        for file in FILES
        if not file.name.startswith("test_")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    assert not lost
