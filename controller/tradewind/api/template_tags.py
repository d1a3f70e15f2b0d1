"""Finds the tags of a template in linear time, before any other code parses it.

minijinja parses recursively, without a limit for chains such as `not not …` or `a ~ a ~ …`: some thousand links crash
the process. Long or deeply nested templates are therefore rejected here first. Nothing here knows the meaning of a tag.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

QUOTED = r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\""""
MAX_TAG = 4096
"""The maximum number of characters between the braces of a tag: a fourth of what was seen to overflow the stack."""
MAX_BLOCKS = 100
"""The maximum nesting depth of `if` and `for`; each `elif` counts too."""
MAX_LOOP_TEXT = 4096
"""The maximum number of characters of plain text inside loops: they are printed in each iteration, and cost no fuel."""

_BEGIN = re.compile(r"\{\{|\{%|\{#")
_NEXT = {
    "{{": re.compile(r"""\}\}|['"({\[)}\]]"""),
    "{%": re.compile(r"""%\}|['"({\[)}\]]"""),
}
_REST_OF_STRING = {
    "'": re.compile(r"(?:\\.|[^'\\])*'", re.DOTALL),
    '"': re.compile(r'(?:\\.|[^"\\])*"', re.DOTALL),
}
_KEYWORD = re.compile(r"[-+]?\s*(\w*)")


class TagError(ValueError):
    """A template that is rejected for its tags."""


@dataclass(frozen=True, slots=True)
class Tag:
    """`{{ expression }}` or `{% keyword rest %}`; `start` and `end` are its position in the text."""

    keyword: str | None
    """None for `{{ … }}`."""
    expression: str
    start: int
    end: int


def tags(text: str) -> Iterator[Tag]:
    """Yield the tags of a template in order, without comments. Raises TagError for an unclosed or too long tag."""
    position = 0
    while begin := _BEGIN.search(text, position):
        kind, inside = begin[0], begin.end()
        if kind == "{#":
            end = text.find("#}", inside)
            if end < 0:
                raise TagError("unexpected end of input: a comment is not closed by `#}`")
            position = end + 2
            continue
        end = _end_of_tag(text, kind, inside)
        body, position = text[inside:end], end + 2
        if kind == "{{":
            yield Tag(None, body, begin.start(), position)
        else:
            keyword = _KEYWORD.match(body)
            word = keyword[1] if keyword else ""
            yield Tag(word, body[keyword.end() :] if keyword else body, begin.start(), position)


def check_size(text: str) -> None:
    """Raise TagError for a template that could overflow the stack of its parser, or the memory of its renderer."""
    open_blocks: list[tuple[str, int]] = []
    depth = loops = in_loops = 0
    last_end = 0
    for tag in tags(text):
        if loops:
            in_loops += tag.start - last_end
            if in_loops > MAX_LOOP_TEXT:
                raise TagError(f"more than {MAX_LOOP_TEXT} characters of text inside loops; make it shorter")
        last_end = tag.end
        if tag.keyword in ("if", "for"):
            open_blocks.append((tag.keyword, 1))
            depth += 1
            loops += tag.keyword == "for"
        elif tag.keyword == "elif" and open_blocks:
            kind, count = open_blocks[-1]
            open_blocks[-1] = kind, count + 1
            depth += 1
        elif tag.keyword in ("endif", "endfor") and open_blocks:
            kind, count = open_blocks.pop()
            depth -= count
            loops -= kind == "for"
        if depth > MAX_BLOCKS:
            raise TagError(f"more than {MAX_BLOCKS} nested blocks (if, elif, for)")


def _end_of_tag(text: str, kind: str, position: int) -> int:
    """Return the position of the closing braces of a tag; braces in a string do not count."""
    limit, begin, braces = position + MAX_TAG, position, 0
    step, close = _NEXT[kind], "}}" if kind == "{{" else "%}"
    while found := step.search(text, position, limit + 2):
        here, position = found[0], found.end()
        if here in _REST_OF_STRING:
            rest = _REST_OF_STRING[here].match(text, position, limit + 2)
            if rest is None:
                break
            position = rest.end()
        elif here in "({[":
            braces += 1
        elif here == close:
            if braces:
                # minijinja could end the tag elsewhere, so an ambiguous end is rejected.
                raise TagError(
                    f"`{close}` before all brackets are closed; write spaces between closing braces: `}} }}`"
                )
            return found.start()
        else:
            braces = max(0, braces - 1)
    if len(text) > limit:
        raise TagError(f"a tag has more than {MAX_TAG} characters between its braces; make the value a param")
    raise TagError(f"unexpected end of input: `{text[begin - 2 : begin + 20]}` is not closed by `{close}`")
