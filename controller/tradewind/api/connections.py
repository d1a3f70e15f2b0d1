"""Connections: Secrets whose entries a task's container gets as environment variables. Only their names are known here;
the values are read by the kubelet, never by the controller."""

import re


def connection_prefix(name: str) -> str:
    """What the variables of a connection begin with: `my-db.eu` gives `MY_DB_EU_`.

    No variable that a shell can use begins with a digit, so `2nd` gives `_2ND_`.
    """
    prefix = re.sub(r"[-.]", "_", name.upper()) + "_"
    return f"_{prefix}" if prefix[0].isdigit() else prefix
