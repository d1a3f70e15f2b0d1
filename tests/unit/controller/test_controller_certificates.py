"""The certificate of the webhook: trusted by whoever has the CA, renewed in time, its CA kept while that lasts."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from tradewind.controller.webhook.certificates import (
    CA_LIFE,
    CERTIFICATE_LIFE,
    RENEW_BEFORE,
    Bundle,
    make_bundle,
    needs_renewal,
)

pytestmark = pytest.mark.unit

HOSTS = ["tradewind-webhook.tradewind.svc", "tradewind-webhook.tradewind.svc.cluster.local"]
NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return make_bundle(HOSTS, NOW)


async def handshake(folder: Path, served: Bundle, trusted: bytes, host: str) -> None:
    """Connect to a real TLS server as strictly as a client can."""
    (folder / "tls.crt").write_bytes(served.certificate)
    (folder / "tls.key").write_bytes(served.key)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    client_side = ssl.create_default_context(cadata=trusted.decode())
    client_side.verify_flags |= ssl.VERIFY_X509_STRICT

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server_side) as server:
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_side, server_hostname=host)
        writer.close()


@pytest.mark.parametrize("host", HOSTS)
async def test_whoever_has_the_ca_trusts_the_server(tmp_path: Path, bundle: Bundle, host: str) -> None:
    await handshake(tmp_path, bundle, bundle.ca, host)


async def test_not_under_another_name(tmp_path: Path, bundle: Bundle) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        await handshake(tmp_path, bundle, bundle.ca, "other.tradewind.svc")


async def test_not_with_another_ca(tmp_path: Path, bundle: Bundle) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
        await handshake(tmp_path, bundle, make_bundle(HOSTS, NOW).ca, HOSTS[0])


async def test_a_renewed_certificate_is_trusted_by_those_who_have_the_ca_already(
    tmp_path: Path, bundle: Bundle
) -> None:
    renewed = make_bundle(HOSTS, NOW, bundle)
    assert (renewed.ca, renewed.ca_key) == (bundle.ca, bundle.ca_key)
    assert renewed.certificate != bundle.certificate
    await handshake(tmp_path, renewed, bundle.ca, HOSTS[0])


def test_it_is_renewed_before_it_expires(bundle: Bundle) -> None:
    last = NOW + CERTIFICATE_LIFE - RENEW_BEFORE
    assert not needs_renewal(bundle, HOSTS, NOW)
    assert not needs_renewal(bundle, HOSTS, last - HOUR)
    assert needs_renewal(bundle, HOSTS, last + HOUR)


def test_it_is_renewed_for_other_hosts(bundle: Bundle) -> None:
    assert needs_renewal(bundle, ["elsewhere.tradewind.svc"], NOW)
    assert needs_renewal(bundle, HOSTS[:1], NOW)


def test_no_certificate_outlives_its_ca(bundle: Bundle) -> None:
    late = NOW + CA_LIFE - CERTIFICATE_LIFE + HOUR
    renewed = make_bundle(HOSTS, late, bundle)
    assert renewed.ca != bundle.ca
    kept = make_bundle(HOSTS, late - 2 * HOUR, bundle)
    assert kept.ca == bundle.ca
    for made in (renewed, kept):
        ca, certificate = (x509.load_pem_x509_certificate(pem) for pem in (made.ca, made.certificate))
        assert certificate.not_valid_after_utc <= ca.not_valid_after_utc


def test_a_long_service_name_fits() -> None:
    hosts = [f"{'long-' * 12}webhook.{'namespace-' * 6}x.svc"]
    certificate = x509.load_pem_x509_certificate(make_bundle(hosts, NOW).certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == hosts


def test_clocks_may_differ_a_little(bundle: Bundle) -> None:
    certificate = x509.load_pem_x509_certificate(bundle.certificate)
    assert certificate.not_valid_before_utc <= NOW - timedelta(minutes=30)
