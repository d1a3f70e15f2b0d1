"""Files that are small and stand for much, or are nested without end: one line says so."""

from pathlib import Path

import pytest

from tradewind.cli.documents import read_documents

pytestmark = pytest.mark.unit

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BOMB, "its aliases expand to more than 1000000 values"),
        ("a: &a [*a]\n", "its aliases expand to more than"),
        ("[" * 20_000, "is nested too deeply"),
        ("a: " + "{a: " * 20_000, "is nested too deeply"),
    ],
    ids=["bomb", "in itself", "lists", "objects"],
)
def test_files_that_stand_for_much(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "dag.yaml"
    file.write_text(text)
    documents, [unreadable] = read_documents([str(file)])
    assert documents == []
    assert says in unreadable


def test_a_few_aliases_are_fine(tmp_path: Path) -> None:
    file = tmp_path / "dag.yaml"
    file.write_text("a: &a {x: 1}\nb: [*a, *a]\n")
    [document], [] = read_documents([str(file)])
    assert document.manifest == {"a": {"x": 1}, "b": [{"x": 1}, {"x": 1}]}
