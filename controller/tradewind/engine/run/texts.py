"""Shortened texts, for places with little room."""


def head(text: str, limit: int) -> str:
    """The beginning of a text, where Tradewind's own messages have the subject: at most `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def tail(text: str, limit: int) -> str:
    """The end of a text, where a log has the error: at most `limit` characters."""
    return text if len(text) <= limit else "…" + text[1 - limit :].lstrip()
