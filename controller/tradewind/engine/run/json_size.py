"""JSON in bytes, as the API server, written in Go, stores it: how large a value is, and the end of a text that fits."""

from typing import Any

import orjson

_MOST_BYTES = 6
_ESCAPED = {**dict.fromkeys('"\\\n\r\t', 2), **dict.fromkeys("<>&\u2028\u2029", _MOST_BYTES)}
_ELLIPSIS_BYTES = len("…".encode())
_ESCAPES = ((b"<", 5), (b">", 5), (b"&", 5), (b"\xe2\x80\xa8", 3), (b"\xe2\x80\xa9", 3), (b"\\b", 4), (b"\\f", 4))
"""What Go writes as six bytes, which orjson writes as fewer, and how many more that is."""


def stored_size(value: Any) -> int:
    """Bytes of a value in JSON as the API server, written in Go, stores it. Raises TypeError for what cannot be written
    there: broken surrogates, or nested more than some 250 levels deep."""
    text = orjson.dumps(value)
    return len(text) + sum(more * text.count(written) for written, more in _ESCAPES)


def shorten(text: str, limit: int) -> str:
    """The end of a long text, where a log says what went wrong: at most `limit` bytes as the API server stores it."""
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
    """Bytes of a character in JSON as Go writes it, which escapes what HTML cannot take."""
    if character in _ESCAPED:
        return _ESCAPED[character]
    return _MOST_BYTES if character < " " else len(character.encode(errors="replace"))
