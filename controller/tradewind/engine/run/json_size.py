"""The size of JSON as the API server stores it, with Go's escapes, and texts shortened to a size."""

from typing import Any

import orjson

_MOST_BYTES = 6
_ESCAPED = {**dict.fromkeys('"\\\n\r\t', 2), **dict.fromkeys("<>&\u2028\u2029", _MOST_BYTES)}
_ELLIPSIS_BYTES = len("…".encode())
_ESCAPES = ((b"<", 5), (b">", 5), (b"&", 5), (b"\xe2\x80\xa8", 3), (b"\xe2\x80\xa9", 3), (b"\\b", 4), (b"\\f", 4))
"""Characters that Go writes as six bytes and orjson as fewer, and the difference."""


def stored_size(value: Any) -> int:
    """Bytes of a value in JSON as the API server stores it. Raises TypeError for values that JSON cannot have: broken
    surrogates, or more than some 250 nested levels."""
    text = orjson.dumps(value)
    return len(text) + sum(more * text.count(written) for written, more in _ESCAPES)


def shorten(text: str, limit: int) -> str:
    """The end of a long text, where a log has the error: at most `limit` bytes as the API server stores it."""
    if len(text) * _MOST_BYTES <= limit:
        return text
    room, start = limit, len(text)
    cut = start
    while start:
        start -= 1
        room -= _stored_bytes(text[start])
        if room >= _ELLIPSIS_BYTES:
            cut = start
        if room < 0:
            return "…" + text[cut:]
    return text


def _stored_bytes(character: str) -> int:
    """Bytes of a character in JSON as Go writes it, with HTML's special characters escaped."""
    if character in _ESCAPED:
        return _ESCAPED[character]
    return _MOST_BYTES if character < " " else len(character.encode(errors="replace"))
