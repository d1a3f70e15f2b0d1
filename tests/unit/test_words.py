"""docs/words.py finds the words of its list, in code as in prose, and says what to write instead."""

import pytest

from docs import words

pytestmark = pytest.mark.unit


def found(text: str, name: str = "page.md") -> list[tuple[int, str]]:
    return [(hit.line, hit.found) for hit in words.hits(name, text, words.read_list())]


def test_a_hit_has_its_line_and_what_to_say() -> None:
    (hit,) = words.hits("page.md", "A run.\nIts Pods are made anew.\n", words.read_list())
    assert (hit.line, hit.found) == (2, "anew")
    assert "recreated" in hit.say


def test_identifiers_are_words_too() -> None:
    assert found("    self.told_about = not_told\n    run.let_go()\n") == [(1, "told"), (1, "told"), (2, "let go")]


def test_a_phrase_may_be_broken_at_the_end_of_a_line() -> None:
    assert found("        # The try has\n        # ended.\n") == [(1, "has ended")]
    assert found("The run goes\non.") == [(1, "goes on")]


def test_longer_words_and_numbers_are_left_alone() -> None:
    assert not found("untold, extolled, a budget that is over 4096 bytes, recommend, a stand-in, stands in for")


def test_names_of_tests_are_left_alone() -> None:
    assert not found("see `tests/unit/test_told.py::test_a_run_that_goes_on`")


def test_a_docstring_begins_with_what_it_returns() -> None:
    assert found('"""What is due."""', "tradewind/due.py") == [(1, '"""What')]
    assert not found('"""What is due."""', "page.md")
    assert not found('"""Whatever is due."""', "tradewind/due.py")


def test_each_word_has_a_better_one_that_is_not_listed() -> None:
    for word in words.read_list():
        assert word.say
        assert not words.hits("page.md", word.say, words.read_list()), word.say


def test_a_hit_fails_the_check(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "files", lambda paths: [("README.md", "Nobody reads this."), ("docs/b.md", "All read.")])
    assert words.main([]) == 1
    assert capsys.readouterr().out.startswith("README.md:1: 'Nobody'; rather: no one")


def test_what_is_checked_exists_and_is_read() -> None:
    names = [name for name, _ in words.files([words.ROOT / area for area in words.AREAS])]
    assert {"README.md", ".ci/run", "docs/glossary.md", "helm/tradewind/templates/NOTES.txt"} <= set(names)
    assert not [name for name in names if name.startswith(("docs/reference/", "helm/tradewind/files/"))]
