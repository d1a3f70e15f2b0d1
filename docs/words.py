"""Find words in code and pages that people who know Kubernetes and Airflow would stumble over.

    python docs/words.py                             # check everything; exit 1 on a hit
    python docs/words.py controller/tradewind/cli    # check these files and folders

docs/words.yaml has the words, and what to say instead. Identifiers are split at underscores.
"""

import argparse
import fnmatch
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).parents[1]
LIST = Path(__file__).with_suffix(".yaml")

AREAS = [
    *("controller", "helm", "examples", "docs", "bench", "localkube", "tests"),
    *("README.md", "CONTRIBUTING.md", "Makefile", "Dockerfile", "pyproject.toml", ".ci"),
]
EXCEPT = [
    "docs/words.yaml",
    "tests/unit/test_words.py",
    "helm/tradewind/files/*",
    "docs/reference/*",
    "*.json",
    "*.svg",
    "*.pyc",
    "*.egg-info/*",
]
"""The list itself with its test, and files that are generated from others."""

CONTINUES = re.compile(r"(?m)^[ \t]*(?:#:?|>) ")
"""A comment or a quotation has this between the words of a phrase that is broken at the end of a line."""
TEST_NAME = re.compile(r"\btest_\w+")
"""Names of tests are sentences of their own, and pages quote them."""


class Word(NamedTuple):
    """An entry of the list."""

    pattern: re.Pattern[str]
    say: str
    files: list[str]


class Hit(NamedTuple):
    line: int
    found: str
    say: str


def read_list() -> list[Word]:
    entries = yaml.safe_load(LIST.read_text())
    return [Word(_pattern(entry["word"]), entry["say"], entry.get("files", ["*"])) for entry in entries]


def _pattern(word: str) -> re.Pattern[str]:
    spaced = word.replace(" ", r"\s+")
    return re.compile(rf"(?<![a-z0-9])(?:{spaced})(?![a-z0-9])", re.IGNORECASE)


def hits(name: str, text: str, words: list[Word]) -> list[Hit]:
    """Return the listed words in the text of a file, by line."""
    plain = text
    for unchecked in (CONTINUES, TEST_NAME):
        plain = unchecked.sub(lambda match: " " * len(match[0]), plain)
    plain = plain.replace("_", " ")
    return sorted(
        Hit(text.count("\n", 0, match.start()) + 1, " ".join(match[0].split()), word.say)
        for word in words
        if _matches(name, word.files)
        for match in word.pattern.finditer(plain)
    )


def _matches(name: str, globs: list[str]) -> bool:
    return any(fnmatch.fnmatch(name, glob) for glob in globs)


def files(paths: list[Path]) -> Iterator[tuple[str, str]]:
    """Yield name and text of each file at or below the paths."""
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            name = file.relative_to(ROOT).as_posix()
            if file.is_file() and not _matches(name, EXCEPT):
                yield name, file.read_text(errors="replace")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("path", nargs="*", type=Path, help="files and folders; all areas if none")
    given = [path.resolve() for path in parser.parse_args(arguments).path]
    words = read_list()
    count = 0
    for name, text in files(given or [ROOT / area for area in AREAS]):
        for line, found, say in hits(name, text, words):
            print(f"{name}:{line}: {found!r}; rather: {say}")
            count += 1
    print(f"{count} hits (docs/words.yaml)" if count else "no word of docs/words.yaml")
    return min(count, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
