"""TLS contexts from certificates and keys in memory.

OpenSSL takes a key from a file only. None of ours has a name, so that nobody else can read it, and nothing of it is
left however the process ends.
"""

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def client_context(
    *,
    ca_file: Path | None = None,
    ca_data: bytes | None = None,
    certificate: bytes | None = None,
    key: bytes | None = None,
    verify: bool = True,
) -> ssl.SSLContext:
    """What a client needs to know a server by its CA, and to show its own certificate. PEM texts. Raises OSError and
    ValueError for what is none."""
    tls = ssl.create_default_context(cafile=ca_file, cadata=ca_data.decode("ascii") if ca_data is not None else None)
    # Cluster CAs made by older tools lack extensions that this flag (default from Python 3.13) demands.
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not verify:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    if certificate is not None and key is not None:
        load_pair(tls, certificate, key)
    return tls


def load_pair(tls: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Let a context show a certificate. Raises OSError (ssl.SSLError is one) where they do not belong together."""
    with _file_without_name(certificate) as certificate_path, _file_without_name(key) as key_path:
        tls.load_cert_chain(certificate_path, key_path)


@contextmanager
def _file_without_name(content: bytes) -> Iterator[str]:
    """A path that only this process can open, and only meanwhile."""
    # Linux has files that are in no folder; elsewhere it is taken out of its folder before anything is in it.
    in_memory = hasattr(os, "memfd_create")
    with os.fdopen(os.memfd_create("tradewind"), "r+b") if in_memory else tempfile.TemporaryFile("r+b") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        # On macOS whoever opens the path goes on where this one is.
        file.seek(0)
        yield f"/dev/fd/{file.fileno()}"
