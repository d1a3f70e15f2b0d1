"""Requests for the server in memory that come by HTTP from another process: a thread of this one takes them."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from tests.apiserver.server import Request, Response


@contextmanager
def served(answer: Callable[[Request], Response], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Answer on a port of this machine; gives its address. `answer` is called by many threads."""

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            url, size = urlsplit(self.path), int(self.headers.get("Content-Length") or 0)
            response = answer(
                Request(
                    method=self.command,
                    path=url.path,
                    params=dict(parse_qsl(url.query)),
                    body=self.rfile.read(size) if size else None,
                    content_type=self.headers.get("Content-Type"),
                    partial="list" if "as=PartialObjectMetadataList" in self.headers.get("Accept", "") else False,
                )
            )
            is_json = response.body.startswith(b"{")
            self.send_response(response.status)
            self.send_header("Content-Type", "application/json" if is_json else "text/plain")
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - the base class's names

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the output is the tests'."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
