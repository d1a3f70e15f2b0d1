"""TLS contexts from certificates and keys in memory.

OpenSSL reads a key only from a file. Our files have no name, so that no other process can read them, and they vanish
however this process exits.
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
    """Return a client's context that verifies the server by its CA, and presents the given certificate. All texts are
    PEM. Raises OSError or ValueError if they are invalid."""
    tls = ssl.create_default_context(cafile=ca_file, cadata=ca_data.decode("ascii") if ca_data is not None else None)
    # Cluster CAs created by older tools lack extensions that this flag (default since Python 3.13) requires.
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not verify:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    if certificate is not None and key is not None:
        load_pair(tls, certificate, key)
    return tls


def load_pair(tls: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Load a certificate and its key into a context. Raises OSError (such as ssl.SSLError) if they do not match."""
    with _file_without_name(certificate) as certificate_path, _file_without_name(key) as key_path:
        tls.load_cert_chain(certificate_path, key_path)


@contextmanager
def _file_without_name(content: bytes) -> Iterator[str]:
    """Yield a path that only this process can open, and only in this context."""
    # Linux has files without a directory entry; elsewhere the entry is removed before anything is written.
    in_memory = hasattr(os, "memfd_create")
    with os.fdopen(os.memfd_create("tradewind"), "r+b") if in_memory else tempfile.TemporaryFile("r+b") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        # On macOS, opening the path shares the file position.
        file.seek(0)
        yield f"/dev/fd/{file.fileno()}"
