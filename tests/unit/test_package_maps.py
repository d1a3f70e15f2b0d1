"""Each package says what each of its files is for."""

import ast
import re
from pathlib import Path

import pytest

import tradewind

pytestmark = pytest.mark.unit

ROOT = Path(tradewind.__file__).parent
ENTRY = re.compile(r"^ *(\w+(?:\.py|/)) {2,}\S", re.MULTILINE)
PACKAGES = sorted(path.parent for path in ROOT.rglob("__init__.py"))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: str(package.relative_to(ROOT)))
def test_the_map_of_a_package_has_each_of_its_files(package: Path) -> None:
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    if "one file per" in text:
        return  # their names say it
    mapped = ENTRY.findall(text)
    files = [path.name for path in package.glob("*.py") if path.name != "__init__.py"]
    folders = [f"{path.parent.name}/" for path in package.glob("*/__init__.py")]
    assert sorted(mapped) == sorted(files + folders)
