"""Keys and tokens of a kubeconfig stay where they are: no command writes one down, however it ends."""

import base64
import json
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.apiserver.http import served
from tests.unit.cli.cluster_setup import Setup
from tests.unit.cli.commandline import PROGRAM, Cli
from tests.unit.cli.fake_cluster import FakeCluster
from tradewind.controller.webhook import certificates
from tradewind.controller.webhook.certificates import Bundle, make_bundle
from tradewind.kube import tls

pytestmark = pytest.mark.unit

NOW = datetime.now(UTC)
SERVER = make_bundle(["localhost"], NOW)


def of_a_client() -> Bundle:
    """A certificate that says nothing of what it is for: clients may show it."""
    made = make_bundle(["ann"], NOW)
    ca, key = x509.load_pem_x509_certificate(made.ca), load_pem_private_key(made.key, None)
    ca_key = load_pem_private_key(made.ca_key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(ca_key, ec.EllipticCurvePrivateKey)
    certificate = certificates._sign(certificates._name("ann"), ca, key, ca_key, NOW, timedelta(days=1), [])
    return replace(made, certificate=certificates._pem(certificate))


CLIENT = of_a_client()


def server_side(certificate: Bundle = SERVER) -> ssl.SSLContext:
    """It only talks to those who show a certificate of CLIENT's CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_pair(context, certificate.certificate, certificate.key)
    context.load_verify_locations(cadata=CLIENT.ca.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def encoded(text: bytes) -> str:
    return base64.b64encode(text).decode()


EMBEDDED = {"client-certificate-data": encoded(CLIENT.certificate), "client-key-data": encoded(CLIENT.key)}


def configure(folder: Path, server: str, user: dict[str, Any], **cluster: Any) -> None:
    trust = {"certificate-authority-data": encoded(SERVER.ca), "tls-server-name": "localhost"}
    document = {
        "current-context": "test",
        "clusters": [{"name": "c", "cluster": {"server": server, **(cluster or trust)}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(document))


@pytest.fixture
def temp(tmp_path: Path) -> Path:
    """The folder for temporary files, in which nothing may be left."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


@pytest.fixture
def secured(cli: Cli, temp: Path) -> Iterator[Setup]:
    fake = FakeCluster()
    cli.env["TMPDIR"] = str(temp)
    with served(fake.answer, server_side()) as server:
        configure(cli.folder, server, EMBEDDED)
        yield Setup(cli, fake, server)


COMMANDS = [
    ["list"],
    ["runs"],
    ["trigger", "sales"],
    ["status", "nix"],
    ["pause", "sales"],
    ["explain", "nix", "extract"],
    ["backfill", "list"],
    ["logs", "nix", "extract"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_nothing_is_left_behind(secured: Setup, temp: Path, command: list[str]) -> None:
    result = secured(*command)
    assert secured.fake.requests, result.err
    assert "certificate" not in result.err
    assert list(temp.iterdir()) == []


def test_nothing_is_left_by_a_command_that_is_killed(secured: Setup, temp: Path) -> None:
    asked, ends = threading.Event(), threading.Event()

    def hang(run: dict[str, Any]) -> None:
        asked.set()
        ends.wait(30)

    secured("trigger", "sales")
    [run] = secured.fake.names("dagruns")
    secured.fake.controller = hang
    env = {**secured.cli.env, "KUBECONFIG": str(secured.cli.folder / "kubeconfig")}
    process = subprocess.Popen([PROGRAM, "status", run], env=env)
    try:
        assert asked.wait(30), "the server was not asked"
    finally:
        process.kill()
        process.wait()
        ends.set()
    assert list(temp.iterdir()) == []


def test_without_the_key_no_one_answers(secured: Setup) -> None:
    configure(secured.cli.folder, secured.server, {"token": "t"})
    assert secured("list").code == 2
    assert not secured.fake.requests


def test_key_and_certificate_in_files(secured: Setup, temp: Path) -> None:
    (secured.cli.folder / "key").write_bytes(CLIENT.key)
    (secured.cli.folder / "certificate").write_bytes(CLIENT.certificate)
    configure(secured.cli.folder, secured.server, {"client-certificate": "certificate", "client-key": "key"})
    assert secured("list").code == 0
    assert list(temp.iterdir()) == []


def test_the_certificate_of_a_plugin(secured: Setup, temp: Path) -> None:
    plugin, seen = secured.cli.folder / "plugin", secured.cli.folder / "seen"
    status = {"clientCertificateData": CLIENT.certificate.decode(), "clientKeyData": CLIENT.key.decode()}
    (secured.cli.folder / "answer").write_text(json.dumps({"status": status}))
    plugin.write_text(f'#!/bin/sh\necho "$KUBERNETES_EXEC_INFO" >> {seen}\ncat {secured.cli.folder}/answer\n')
    plugin.chmod(0o755)
    version = "client.authentication.k8s.io/v1"
    configure(secured.cli.folder, secured.server, {"exec": {"apiVersion": version, "command": "./plugin"}})
    assert secured("trigger", "sales").code == 0
    [asked] = seen.read_text().splitlines()
    assert json.loads(asked)["apiVersion"] == version
    assert list(temp.iterdir()) == []


def test_a_server_that_is_another_one(secured: Setup) -> None:
    other = make_bundle(["localhost"], NOW)
    authority = {"certificate-authority-data": encoded(other.ca), "tls-server-name": "localhost"}
    configure(secured.cli.folder, secured.server, EMBEDDED, **authority)
    assert "is not trusted" in secured("list").err
    wrong_name = {"certificate-authority-data": encoded(SERVER.ca), "tls-server-name": "example.com"}
    configure(secured.cli.folder, secured.server, EMBEDDED, **wrong_name)
    assert "is not trusted" in secured("list").err
    assert not secured.fake.requests
    configure(secured.cli.folder, secured.server, EMBEDDED, **{"insecure-skip-tls-verify": True})
    result = secured("list")
    assert (result.code, result.err) == (0, "")


def test_a_key_that_is_none(secured: Setup) -> None:
    configure(secured.cli.folder, secured.server, {**EMBEDDED, "client-key-data": encoded(b"nonsense")})
    result = secured("list")
    assert result.code == 2
    assert result.err.startswith("error: the certificates of the kubeconfig cannot be used")
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_file_without_a_name(monkeypatch: pytest.MonkeyPatch, temp: Path, in_memory: bool) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(temp))
    if not in_memory:
        monkeypatch.delattr(os, "memfd_create")
    with tls._file_without_name(b"content") as path:
        assert Path(path).read_bytes() == b"content"
        assert list(temp.iterdir()) == []
    assert not Path(path).exists()
    tls.load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), CLIENT.certificate, CLIENT.key)
