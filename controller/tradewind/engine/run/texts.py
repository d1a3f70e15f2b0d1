"""Cutting texts that are too long for where they are shown."""


def head(text: str, limit: int) -> str:
    """The beginning of a text, where a message of ours says what it is about: at most `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def tail(text: str, limit: int) -> str:
    """The end of a text, where a log says what went wrong: at most `limit` characters."""
    return text if len(text) <= limit else "…" + text[1 - limit :].lstrip()
