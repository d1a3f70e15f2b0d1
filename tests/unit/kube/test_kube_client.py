"""Requests, errors and credentials, against a server on a local port."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from tests.unit.kube.certificates import self_signed
from tests.unit.kube.fake_apiserver import FakeApiServer, failure
from tests.unit.kube.virtual_time import VirtualClock
from tradewind.kube.client import KubeClient
from tradewind.kube.config import Connection, find_connection
from tradewind.kube.credentials import FileCredentials, StaticCredentials
from tradewind.kube.errors import ApiError, ConfigurationError, Unreachable
from tradewind.kube.resources import CONFIGMAPS, NODES, PODS, Resource


def test_paths() -> None:
    dags = Resource("example.dev", "v1", "dags")
    assert PODS.path() == "/api/v1/pods"
    assert PODS.path("ns", "a", "status") == "/api/v1/namespaces/ns/pods/a/status"
    assert dags.path("ns", "a") == "/apis/example.dev/v1/namespaces/ns/dags/a"
    assert dags.api_version == "example.dev/v1"
    assert NODES.path(None, "n") == "/api/v1/nodes/n"
    assert PODS.path("ns", "../../secrets") == "/api/v1/namespaces/ns/pods/..%2F..%2Fsecrets"
    for wrong in (
        lambda: NODES.path("ns"),
        lambda: PODS.path(None, "a"),
        lambda: PODS.path("ns", ""),
        lambda: PODS.path("ns", None, "status"),
    ):
        with pytest.raises(ValueError):
            wrong()


async def test_request_headers_and_body(server: FakeApiServer, client: KubeClient) -> None:
    answer = await client.request(
        "PATCH",
        "/api/v1/namespaces/ns/pods/a",
        params={"fieldManager": "me"},
        body={"a": "ü"},
        content_type="application/merge-patch+json",
        partial=True,
    )
    assert answer["path"] == "/api/v1/namespaces/ns/pods/a"
    [request] = server.requests
    assert request.headers["Content-Type"] == "application/merge-patch+json"
    assert "as=PartialObjectMetadata;g=meta.k8s.io;v=v1" in request.headers["Accept"]
    assert request.headers["Accept-Encoding"] == "identity"
    assert request.query == {"fieldManager": "me"}
    assert server.bodies == ['{"a":"ü"}'.encode()]


async def test_one_connection_serves_many_requests(server: FakeApiServer, client: KubeClient) -> None:
    for _ in range(5):
        await client.request("GET", "/api/v1/pods")
    assert len({request.transport for request in server.requests}) == 1


async def test_no_more_requests_in_flight_than_allowed(server: FakeApiServer) -> None:
    now = most = 0

    async def slow(request: web.Request) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1

    server.faults = [slow] * 12
    connection = Connection(server.url, None, StaticCredentials())
    async with KubeClient(connection, max_requests=3) as client:
        await asyncio.gather(*(client.request("GET", "/api/v1/pods") for _ in range(12)))
    assert most == 3


@pytest.mark.parametrize(
    ("code", "reason", "message", "details", "predicate"),
    [
        (400, "BadRequest", "", {}, "is_bad_request"),
        (403, "Forbidden", "rbac", {}, "is_forbidden"),
        (403, "Forbidden", "pods is forbidden: exceeded quota: q, requested", {}, "is_quota_exceeded"),
        (
            403,
            "Forbidden",
            "",
            {"causes": [{"reason": "NamespaceTerminating"}]},
            "is_namespace_terminating",
        ),
        (404, "NotFound", "", {}, "is_not_found"),
        (409, "AlreadyExists", "", {}, "is_already_exists"),
        (409, "Conflict", "", {}, "is_conflict"),
        (410, "Expired", "", {}, "is_gone"),
        (413, "RequestEntityTooLarge", "", {}, "is_too_large"),
        (500, "", "etcdserver: request is too large", {}, "is_too_large"),
        (422, "Invalid", "", {}, "is_invalid"),
        (429, "TooManyRequests", "", {}, "is_too_many_requests"),
        (503, "ServiceUnavailable", "", {}, "is_transient"),
    ],
)
async def test_errors_are_distinguished(
    server: FakeApiServer,
    client: KubeClient,
    code: int,
    reason: str,
    message: str,
    details: dict[str, Any],
    predicate: str,
) -> None:
    async def fault(request: web.Request) -> web.Response:
        return failure(code, reason, message, **details)

    server.faults = [fault]
    with pytest.raises(ApiError) as caught:
        await client.request("GET", "/api/v1/pods")
    error = caught.value
    predicates = {name for name in dir(ApiError) if name.startswith("is_") and getattr(error, name)}
    implied = {
        "is_quota_exceeded": {"is_forbidden"},
        "is_namespace_terminating": {"is_forbidden"},
        "is_too_many_requests": {"is_transient"},
    }
    assert predicates == {predicate} | implied.get(predicate, set())
    assert (error.status, error.reason, error.details) == (code, reason, details)


async def test_retry_after_from_header_or_details(server: FakeApiServer, client: KubeClient) -> None:
    async def detailed(request: web.Request) -> web.Response:
        return failure(429, "TooManyRequests", retryAfterSeconds=4)

    server.fail_next(429, "TooManyRequests", headers={"Retry-After": "3"})
    server.faults.append(detailed)
    server.fail_next(429, "TooManyRequests", headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"})
    for expected in (3.0, 4.0, None):
        with pytest.raises(ApiError) as caught:
            await client.request("GET", "/api/v1/pods")
        assert caught.value.retry_after == expected


async def test_an_error_page_of_a_proxy(server: FakeApiServer, client: KubeClient) -> None:
    async def proxy(request: web.Request) -> web.Response:
        return web.Response(status=502, text="<html>Bad Gateway</html>")

    server.faults = [proxy]
    with pytest.raises(ApiError) as caught:
        await client.request("GET", "/api/v1/pods")
    assert caught.value.status == 502
    assert "Bad Gateway" in caught.value.message
    assert caught.value.is_transient


async def test_timeout_and_refusal_are_unreachable(server: FakeApiServer, client: KubeClient) -> None:
    async def hang(request: web.Request) -> None:
        await asyncio.sleep(5)

    server.faults = [hang]
    with pytest.raises(Unreachable) as caught:
        await client.request("GET", "/api/v1/pods", timeout=0.05)
    assert caught.value.timed_out
    async with KubeClient(Connection("http://127.0.0.1:1", None, StaticCredentials())) as nowhere:
        with pytest.raises(Unreachable, match="GET /api/v1/pods") as caught:
            await nowhere.request("GET", "/api/v1/pods")
    assert not caught.value.timed_out


async def test_a_closed_client_says_so(server: FakeApiServer, client: KubeClient) -> None:
    await client.request("GET", "/api/v1/pods")
    await client.close()
    with pytest.raises(Unreachable, match="closed"):
        await client.request("GET", "/api/v1/pods")


async def test_list_follows_pages(server: FakeApiServer, client: KubeClient) -> None:
    for number in range(5):
        server.put(f"c{number}")
    items = await client.list(CONFIGMAPS, "ns", limit=2, label_selector="a=b")
    assert [item["metadata"]["name"] for item in items] == [f"c{n}" for n in range(5)]
    assert len(server.requests) == 3
    assert all(request.query["labelSelector"] == "a=b" for request in server.requests)


async def test_a_timeout_that_is_asked_for_counts_the_wait_for_a_slot(server: FakeApiServer) -> None:
    held, release = asyncio.Event(), asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        held.set()
        await release.wait()
        return web.json_response({})

    server.faults = [hang]
    async with KubeClient(Connection(server.url, None, StaticCredentials()), max_requests=1) as client:
        first = asyncio.create_task(client.request("GET", "/api/v1/pods"))
        await held.wait()
        with pytest.raises(Unreachable, match="no free request slot") as caught:
            await client.request("GET", "/api/v1/pods", timeout=0.1)
        assert caught.value.timed_out
        assert len(server.requests) == 1, "it was never sent"
        release.set()
        await first
        await client.request("GET", "/api/v1/pods", timeout=5)


# ---- credentials


async def test_token_file_is_read_again(tmp_path: Path, clock: VirtualClock) -> None:
    token = tmp_path / "token"
    token.write_text("one\n")
    credentials = FileCredentials(token, clock=clock)
    assert await credentials.headers() == {"Authorization": "Bearer one"}
    token.write_text("two\n")
    assert await credentials.headers() == {"Authorization": "Bearer one"}
    clock.jump(61)
    assert await credentials.headers() == {"Authorization": "Bearer two"}
    token.unlink()
    clock.jump(61)
    assert await credentials.headers() == {"Authorization": "Bearer two"}, "a gap in a rotation"


async def test_401_reads_the_token_at_once_and_repeats(server: FakeApiServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    async with KubeClient(Connection(server.url, None, FileCredentials(token))) as client:
        await client.request("GET", "/api/v1/pods")
        token.write_text("new")
        server.fail_next(401, "Unauthorized")
        await client.request("GET", "/api/v1/pods")
        sent = [request.headers["Authorization"] for request in server.requests]
        assert sent == ["Bearer old", "Bearer old", "Bearer new"]
        server.fail_next(401, "Unauthorized")
        with pytest.raises(ApiError) as caught:
            await client.request("GET", "/api/v1/pods")
        assert caught.value.is_unauthorized
        assert len(server.requests) == 4, "the token is the same: asking again would change nothing"


async def test_exec_plugin(server: FakeApiServer, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text(
        "#!/bin/sh\n"
        'echo run >> "$COUNT"\n'
        'echo \'{"kind":"ExecCredential","status":{"token":"t-\'"$1"\'",'
        '"expirationTimestamp":"\'"$EXPIRES"\'"}}\'\n'
    )
    plugin.chmod(0o755)
    count = tmp_path / "count"

    def user(expires: str) -> dict[str, Any]:
        env = [{"name": "COUNT", "value": str(count)}, {"name": "EXPIRES", "value": expires}]
        return {"exec": {"command": "./plugin", "args": ["x"], "env": env}}

    for expires, runs in (("2999-01-01T00:00:00Z", 1), ("2001-01-01T00:00:00Z", 3)):
        config = kubeconfig(tmp_path, server.url, user=user(expires))
        async with KubeClient.from_environment(config) as client:
            await client.request("GET", "/api/v1/pods")
            await client.request("GET", "/api/v1/pods")
        assert server.requests[-1].headers["Authorization"] == "Bearer t-x"
        assert len(count.read_text().split()) == runs


# ---- where the configuration comes from


def kubeconfig(directory: Path, server: str, *, user: Any = None, cluster: Any = None, name: str = "config") -> Path:
    path = directory / name
    document = {
        "current-context": "here",
        "contexts": [
            {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "team"}},
            {"name": "there", "context": {"cluster": "c", "user": "u"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": server, **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {}}],
    }
    path.write_text(yaml.safe_dump(document))
    return path


async def test_order_of_sources(tmp_path: Path) -> None:
    def at(name: str) -> Path:
        return kubeconfig(tmp_path, f"http://{name}", name=name)

    home = tmp_path / "home" / ".kube"
    home.mkdir(parents=True)
    kubeconfig(home, "http://home")
    environ = {"HOME": str(home.parent)}
    pod = tmp_path / "pod"
    assert find_connection(environ=environ, service_account=pod).server == "http://home"

    pod.mkdir()
    (pod / "token").write_text("sa-token")
    (pod / "namespace").write_text("pod-ns\n")
    (pod / "ca.crt").write_bytes(self_signed()[0])
    environ |= {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    connection = find_connection(environ=environ, service_account=pod)
    assert connection.server == "https://[fd00::1]:6443"
    assert connection.namespace == "pod-ns"
    assert await connection.credentials.headers() == {"Authorization": "Bearer sa-token"}
    assert connection.tls is not None and connection.tls.verify_mode == ssl.CERT_REQUIRED

    environ["KUBECONFIG"] = f"{tmp_path / 'missing'}{os.pathsep}{at('variable')}"
    assert find_connection(environ=environ, service_account=pod).server == "http://variable"
    assert find_connection(at("explicit"), environ=environ, service_account=pod).server == "http://explicit"


def test_contexts_and_namespaces(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, "http://x/")
    assert find_connection(path).namespace == "team"
    assert find_connection(path, "there").namespace == "default"
    assert find_connection(path).server == "http://x"


def test_several_files_are_merged(tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.write_text(yaml.safe_dump({"current-context": "there"}))
    second = kubeconfig(tmp_path, "http://second", name="second")
    third = kubeconfig(tmp_path, "http://third", name="third")
    environ = {"KUBECONFIG": os.pathsep.join(map(str, (first, second, third)))}
    connection = find_connection(environ=environ)
    assert (connection.server, connection.namespace) == ("http://second", "default")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"current-context": ""}, "no current-context"),
        ({"current-context": "nowhere"}, "no context named 'nowhere'"),
        ({"clusters": []}, "no cluster named 'c'"),
        ({"users": []}, "no user named 'u'"),
    ],
)
def test_incomplete_kubeconfig_says_what_is_missing(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = kubeconfig(tmp_path, "http://x")
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | change))
    with pytest.raises(ConfigurationError, match=message):
        find_connection(path)


def test_nothing_found(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no cluster found"):
        find_connection(environ={"HOME": str(tmp_path)}, service_account=tmp_path)
    with pytest.raises(ConfigurationError, match="cannot read"):
        find_connection(tmp_path / "missing")


@pytest.mark.parametrize("inline", [True, False])
async def test_client_certificate(tmp_path: Path, inline: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = self_signed()
    (tmp_path / "tls.crt").write_bytes(certificate)
    (tmp_path / "tls.key").write_bytes(key)
    application = web.Application()

    async def who(request: web.Request) -> web.Response:
        assert request.transport is not None
        peer = request.transport.get_extra_info("peercert")
        return web.json_response({"name": peer["subject"][0][0][1]})

    application.router.add_get("/who", who)
    runner = web.AppRunner(application)
    await runner.setup()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "tls.crt")
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    cluster: dict[str, Any]
    if inline:
        cluster = {"certificate-authority-data": base64.b64encode(certificate).decode()}
        user = {
            "client-certificate-data": base64.b64encode(certificate).decode(),
            "client-key-data": base64.b64encode(key).decode(),
        }
    else:
        cluster = {"certificate-authority": "tls.crt"}
        user = {"client-certificate": "tls.crt", "client-key": "tls.key"}
    url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    left_over = tmp_path / "tmp"
    left_over.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(left_over))
    try:
        path = kubeconfig(tmp_path, url, user=user, cluster=cluster)
        async with KubeClient.from_environment(path) as client:
            assert await client.request("GET", "/who") == {"name": "someone"}
        async with KubeClient.from_environment(kubeconfig(tmp_path, url, user=user)) as stranger:
            with pytest.raises(Unreachable, match="certificate"):
                await stranger.request("GET", "/who")
        insecure = kubeconfig(tmp_path, url, user=user, cluster={"insecure-skip-tls-verify": True})
        async with KubeClient.from_environment(insecure) as client:
            assert await client.request("GET", "/who") == {"name": "someone"}
    finally:
        await runner.cleanup()
    assert list(left_over.iterdir()) == [], "no key is left in a file"


def test_certificate_files_are_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    load = ssl.SSLContext.load_cert_chain

    def spy(self: ssl.SSLContext, certificate: str, key: str) -> None:
        modes.extend(stat.S_IMODE(Path(path).stat().st_mode) for path in (certificate, key))
        load(self, certificate, key)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", spy)
    certificate, key = self_signed()
    user = {
        "client-certificate-data": base64.b64encode(certificate).decode(),
        "client-key-data": base64.b64encode(key).decode(),
    }
    find_connection(kubeconfig(tmp_path, "https://x", user=user))
    assert modes == [0o600, 0o600]
