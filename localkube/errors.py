"""The one exception that localkube raises for something a person can act on.

The CLI prints its message without a traceback; everything else that escapes is
a bug in localkube.
"""


class LocalkubeError(Exception):
    """What went wrong, where to look (a log file, its last lines) and what to do."""
