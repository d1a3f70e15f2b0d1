"""A request that cannot be applied."""


class Refused(ValueError):  # noqa: N818 - not an error of the program
    """The message says why, and what to request instead."""
