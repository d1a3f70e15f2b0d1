"""Shortens the messages of container runtimes for containers that cannot start."""

import re

_WRAPPERS = re.compile(
    r"(?:failed to create containerd task|failed to create shim task|failed to start container \"[^\"]*\""
    r"|failed to generate container \"[^\"]*\" spec|Error response from daemon|OCI runtime create failed"
    r"|container create failed|runc create failed|crun|unable to start container process"
    r"|error during container init|starting container process caused|container_linux\.go:\d+): "
)
_UNKNOWN = ": unknown"


def in_short(message: str) -> str:
    """Return the essential end of a message, such as `exec: "pyton3": executable file not found in $PATH`."""
    while found := _WRAPPERS.match(message):
        message = message[found.end() :]
    return message.removesuffix(_UNKNOWN)
