"""A request that cannot be carried out."""


class Refused(ValueError):  # noqa: N818 - what happens to the request
    """The message says why, and what to ask for instead."""
