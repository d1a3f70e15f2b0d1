"""The documents speak of what there is: their Dags are valid, and links, make targets, tests and modules exist."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tradewind.api.validation import summary, validate_backfill, validate_dag, validate_dag_run, validate_pool

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "helm/tradewind/README.md", "localkube/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
VALIDATORS: dict[str, Callable[[Any], Any]] = {
    "Backfill": validate_backfill,
    "Dag": validate_dag,
    "DagRun": validate_dag_run,
    "Pool": validate_pool,
}

MAPPED = ["aio", "api/reasons", "api/validation", "cache", "controller", "engine", "kube"]
"""Packages whose docstring says what is in each of their files and folders."""

pytestmark = pytest.mark.unit


def manifests(text: str) -> list[dict[str, object]]:
    """The resources of ours in the YAML blocks of a document."""
    blocks = re.findall(r"^```ya?ml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    documents = [document for block in blocks for document in yaml.safe_load_all(block)]
    return [document for document in documents if isinstance(document, dict) and document.get("kind") in VALIDATORS]


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document: headings, as GitHub converts them, and those set by hand."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings]
    return {*plain, *re.findall(r'<a id="([^"]+)"></a>', text)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_resources_in_a_document_are_valid(document: Path) -> None:
    for manifest in manifests(document.read_text()):
        _, problems = VALIDATORS[str(manifest["kind"])](manifest)
        assert not problems, summary(problems)


def test_most_documents_for_users_have_resources() -> None:
    """Else the test above would look at nothing."""
    assert sum(bool(manifests(document.read_text())) for document in DOCUMENTS) > 7


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", document.read_text())
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_headings(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]*)#([^)]+)\)", document.read_text())
    for link, heading in links:
        target = document.parent / link if link else document
        if "://" not in link and target.suffix == ".md":
            assert heading in anchors(target), f"{link}#{heading}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_make_targets_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ((?:[a-z][a-z-]+ ?)+)", document.read_text(), re.MULTILINE))
    used = {word for words in named for word in words.split()}
    assert used <= targets


def test_the_readme_shows_a_dag() -> None:
    assert [manifest["kind"] for manifest in manifests((ROOT / "README.md").read_text())] == ["Dag"]


def test_every_line_of_the_threat_model_has_a_test() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    heads = ("|---", "| Tries", "| What")
    rows = [line for line in text.splitlines() if line.startswith("|") and not line.startswith(heads)]
    assert len(rows) > 30
    assert not [row for row in rows if "`tests/" not in row.split("|")[-2]]
    for file, _, test in re.findall(r"`(tests/[\w/]+\.py)(::(test_\w+))?`", text):
        source = (ROOT / file).read_text()
        assert not test or re.search(rf"^ *(async )?def {test}\(", source, re.MULTILINE), f"{file} has no {test}"


def test_every_test_that_a_page_of_faults_names_exists() -> None:
    pages = [ROOT / "docs" / "faults.md", ROOT / "docs" / "records" / "simulation.md"]
    text = "".join(page.read_text() for page in pages)
    named = set(re.findall(r"`(?:tests/[\w/]+/)?(test_\w+\.py)(?:::\w+)?`", text))
    assert len(named) > 20
    assert not named - {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    for path in re.findall(r"`(tests/[\w/]+(?:\.py)?)/?`", text):
        assert (ROOT / path).exists(), path


def test_the_index_names_every_document() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    pages = sorted((ROOT / "docs").glob("*.md")) + sorted((ROOT / "docs" / "reference").glob("*.md"))
    missing = [path.name for path in pages if path.name != "README.md" and f"{path.name})" not in index]
    assert not missing


@pytest.mark.parametrize("folder", ["decisions", "records"])
def test_the_index_of_a_folder_names_every_document(folder: str) -> None:
    index = (ROOT / "docs" / folder / "README.md").read_text()
    missing = [path.name for path in (ROOT / "docs" / folder).glob("*.md") if f"({path.name})" not in index]
    assert missing == ["README.md"]


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_a_page_on_the_code_names_every_package(page: str) -> None:
    packages = {path.parent.name for path in (ROOT / "controller" / "tradewind").glob("*/__init__.py")}
    named = set(re.findall(r"controller/tradewind/(\w+)/", (ROOT / page).read_text()))
    assert not packages - named


def test_every_path_that_contributing_names_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`([\w.]+(?:/[\w.-]+)*/?)`", text)
    paths = [name for name in named if "/" in name and not name.startswith("build/")]
    folders = [ROOT, ROOT / "controller" / "tradewind"]
    missing = [path for path in paths if not any((folder / path).exists() for folder in folders)]
    assert len(paths) > 50
    assert not missing, "a folder or file has another name now"


@pytest.mark.parametrize("package", MAPPED)
def test_a_map_names_every_module(package: str) -> None:
    folder = ROOT / "controller" / "tradewind" / package
    docstring = (folder / "__init__.py").read_text().split('"""')[1]
    named = re.findall(r"^ *(\w+(?:\.py|/)) +\S", docstring, re.MULTILINE)
    modules = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
    packages = [f"{path.parent.name}/" for path in folder.glob("*/__init__.py")]
    assert sorted(named) == sorted(modules + packages)
