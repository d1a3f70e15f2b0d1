"""Tokens and certificates are replaced while the client is in use: every request that this hits is sent again."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from tests.unit.kube.certificates import self_signed
from tradewind.controller.webhook.certificates import Bundle, make_bundle
from tradewind.kube import client as client_module
from tradewind.kube.client import KubeClient
from tradewind.kube.config import Connection, in_cluster, load_kubeconfig
from tradewind.kube.credentials import Credentials, ExecCredentials, FileCredentials
from tradewind.kube.errors import ApiError, Unreachable

pytestmark = pytest.mark.unit

TOGETHER = 8
UNAUTHORIZED = {"kind": "Status", "code": 401, "reason": "Unauthorized", "message": "Unauthorized"}


class Server:
    """An API server that takes one token, and answers `TOGETHER` requests with another at once."""

    def __init__(self) -> None:
        self.token = "old"
        self.sent: list[str] = []
        self.url = ""
        self._refused = asyncio.Barrier(TOGETHER)

    async def handle(self, request: web.Request) -> web.Response:
        self.sent.append(request.headers.get("Authorization", ""))
        if self.sent[-1] == f"Bearer {self.token}":
            return web.json_response({})
        await self._refused.wait()
        return web.json_response(UNAUTHORIZED, status=401)


@asynccontextmanager
async def serving(
    handle: Callable[[web.Request], Any], tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[int]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls, reuse_address=True)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def ask_together(client: KubeClient) -> list[Any]:
    requests = (client.request("POST", f"/api/{number}", body={}) for number in range(TOGETHER))
    return list(await asyncio.gather(*requests, return_exceptions=True))


def plugin(folder: Path) -> ExecCredentials:
    """A plugin that prints the token in `token`, and leaves a line in `runs`."""
    script = folder / "plugin"
    script.write_text(
        f"#!/bin/sh\necho run >> {folder}/runs\n"
        f'echo "{{\\"kind\\":\\"ExecCredential\\",\\"status\\":{{\\"token\\":\\"$(cat {folder}/token)\\"}}}}"\n'
    )
    script.chmod(0o755)
    return ExecCredentials(str(script), [], {})


@pytest.mark.parametrize("kind", ["file", "plugin"])
async def test_all_requests_that_met_a_401_are_sent_again(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tradewind.kube.credentials.RUN_AGAIN_AFTER", 0.0)
    (tmp_path / "token").write_text("old")
    credentials: Credentials = FileCredentials(tmp_path / "token") if kind == "file" else plugin(tmp_path)
    server = Server()
    async with (
        serving(server.handle) as port,
        KubeClient(Connection(f"http://127.0.0.1:{port}", None, credentials)) as c,
    ):
        await c.request("GET", "/api")
        server.token = "new"
        (tmp_path / "token").write_text("new")
        assert await ask_together(c) == [{}] * TOGETHER
    assert server.sent == ["Bearer old"] * (1 + TOGETHER) + ["Bearer new"] * TOGETHER
    if kind == "plugin":
        assert (tmp_path / "runs").read_text().count("run") == 2, "once for all of them"


async def test_a_token_that_stays_refused_runs_the_plugin_no_more_than_now_and_then(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old")
    server = Server()
    server.token = "another"
    async with (
        serving(server.handle) as port,
        KubeClient(Connection(f"http://127.0.0.1:{port}", None, plugin(tmp_path))) as client,
    ):
        answers = await ask_together(client)
    assert all(isinstance(answer, ApiError) and answer.is_unauthorized and answer.is_transient for answer in answers)
    assert (tmp_path / "runs").read_text().count("run") == 1


def server_tls(folder: Path, bundle: Bundle, clients: bytes | None = None) -> ssl.SSLContext:
    (folder / "server.crt").write_bytes(bundle.certificate)
    (folder / "server.key").write_bytes(bundle.key)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(folder / "server.crt", folder / "server.key")
    if clients is not None:
        tls.load_verify_locations(cadata=clients.decode())
        tls.verify_mode = ssl.CERT_REQUIRED
    return tls


def bundle() -> Bundle:
    return make_bundle(["localhost"], datetime.now(UTC))


async def fine(_: web.Request) -> web.Response:
    return web.json_response({"fine": True})


async def test_a_ca_that_was_replaced_is_read_at_the_first_refusal(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    before, after = bundle(), bundle()
    (tmp_path / "ca.crt").write_bytes(before.ca)
    async with serving(fine, server_tls(tmp_path, before)) as port:
        client = KubeClient(
            in_cluster({"KUBERNETES_SERVICE_HOST": "localhost", "KUBERNETES_SERVICE_PORT": str(port)}, tmp_path)
        )
        assert await client.request("GET", "/x") == {"fine": True}
    async with client, serving(fine, server_tls(tmp_path, after), port):
        with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED") as caught:
            await client.request("GET", "/x")  # the kubelet has not updated the file yet
        assert caught.value.is_transient
        (tmp_path / "ca.crt").write_text("half a certifi")
        with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
            await client.request("GET", "/x")
        (tmp_path / "ca.crt").write_bytes(after.ca)
        assert await client.request("GET", "/x") == {"fine": True}


async def test_a_client_certificate_that_was_replaced_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "CHECK_FILES_EVERY", 0.0)
    server, ours, foreign = bundle(), self_signed(), self_signed()
    (tmp_path / "ca.crt").write_bytes(server.ca)

    def issue(certificate: bytes, key: bytes) -> None:
        (tmp_path / "client.crt").write_bytes(certificate)
        (tmp_path / "client.key").write_bytes(key)

    issue(*foreign)
    async with serving(fine, server_tls(tmp_path, server, clients=ours[0])) as port:
        config = {
            "current-context": "here",
            "contexts": [
                {"name": "here", "context": {"cluster": "c", "user": "u"}},
                {"name": "there", "context": {"cluster": "d", "user": "u"}},
            ],
            "clusters": [
                {"name": "c", "cluster": {"server": f"https://localhost:{port}", "certificate-authority": "ca.crt"}},
                {"name": "d", "cluster": {"server": "https://elsewhere", "certificate-authority": "ca.crt"}},
            ],
            "users": [{"name": "u", "user": {"client-certificate": "client.crt", "client-key": "client.key"}}],
        }
        path = tmp_path / "config"
        path.write_text(yaml.safe_dump(config))
        async with KubeClient(load_kubeconfig([path])) as client:
            with pytest.raises(Unreachable):
                await client.request("GET", "/x")
            issue(*ours)
            path.write_text(yaml.safe_dump(config | {"current-context": "there"}))
            assert await client.request("GET", "/x") == {"fine": True}, "and it stays with the cluster that it had"
