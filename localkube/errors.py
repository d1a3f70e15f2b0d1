"""The one exception of localkube for errors that a user can act on.

The CLI prints its message without a traceback; everything else that escapes is
a bug in localkube.
"""


class LocalkubeError(Exception):
    """The message has the error, the place to look (a log file, its last lines) and the fix."""
