"""The tags in a template, found in time that grows with its length, before anything else reads it.

minijinja parses by recursion, without a limit for chains such as `not not …` or `a ~ a ~ …`: some thousand links end
the process. So what is long or deeply nested is refused here first. Nothing here knows what a tag means.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

QUOTED = r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\""""
MAX_TAG = 4096
"""Characters between the braces of one tag; a fourth of what has been seen to overflow the stack."""
MAX_BLOCKS = 100
"""`if` and `for` inside each other, each `elif` counted too."""
MAX_LOOP_TEXT = 4096
"""Characters of plain text inside loops: printed again each time round, and no fuel is taken for its length."""

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
    """A template that is refused for its tags."""


@dataclass(frozen=True, slots=True)
class Tag:
    """`{{ expression }}` or `{% keyword rest %}`; `start` and `end` are where it is in the text."""

    keyword: str | None
    """None for `{{ … }}`."""
    expression: str
    start: int
    end: int


def tags(text: str) -> Iterator[Tag]:
    """The tags of a template in order, comments left out. Raises TagError for one that does not end, or is too long."""
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
    """Raise TagError for what could overflow the stack of whoever parses it, or the memory of whoever renders it."""
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
            raise TagError(f"more than {MAX_BLOCKS} blocks (if, elif, for) inside each other")


def _end_of_tag(text: str, kind: str, position: int) -> int:
    """Where the braces that close a tag are; those in a string do not close it."""
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
                # Whether this is the end of the tag is not for us to say otherwise than minijinja does.
                raise TagError(
                    f"`{close}` before all brackets are closed; write spaces between closing braces: `}} }}`"
                )
            return found.start()
        else:
            braces = max(0, braces - 1)
    if len(text) > limit:
        raise TagError(f"a tag has more than {MAX_TAG} characters between its braces; make the value a param")
    raise TagError(f"unexpected end of input: `{text[begin - 2 : begin + 20]}` is not closed by `{close}`")
