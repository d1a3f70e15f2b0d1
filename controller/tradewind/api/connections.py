"""Connections: Secrets whose entries become environment variables of a task's container. Only their names are used
here; the kubelet reads the values, never the controller."""

import re


def connection_prefix(name: str) -> str:
    """Return the prefix of a connection's variables: `my-db.eu` gives `MY_DB_EU_`.

    A shell variable cannot start with a digit, so `2nd` gives `_2ND_`.
    """
    prefix = re.sub(r"[-.]", "_", name.upper()) + "_"
    return f"_{prefix}" if prefix[0].isdigit() else prefix
