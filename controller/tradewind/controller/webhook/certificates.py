"""Creates the webhook's certificate where none is provided: a CA and a server certificate in one Secret.

All replicas serve the same certificate. A replica that finds it missing or about to expire creates a new one; the
optimistic lock of the Secret decides which replica was first. The CA outlives its certificates, so a renewal interrupts
nothing.
"""

import base64
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tradewind.kube.client import KubeClient
from tradewind.kube.errors import ApiError
from tradewind.kube.resources import SECRETS, VALIDATINGWEBHOOKCONFIGURATIONS

log = logging.getLogger(__name__)

CA_LIFE = timedelta(days=3650)
CERTIFICATE_LIFE = timedelta(days=365)
RENEW_BEFORE = timedelta(days=60)
CHECK_EVERY = 3600.0


@dataclass(frozen=True, slots=True)
class Bundle:
    """A CA and a server certificate with their keys, as PEM."""

    ca: bytes
    ca_key: bytes
    certificate: bytes
    key: bytes


def make_bundle(hosts: list[str], now: datetime, before: Bundle | None = None) -> Bundle:
    """Return a server certificate for `hosts`, signed by the CA of `before` or by a new CA if that expires too soon."""
    reuse = before is not None and _expires(before.ca) > now + CERTIFICATE_LIFE
    if before is not None and reuse:
        ca_key = serialization.load_pem_private_key(before.ca_key, None)
        ca = x509.load_pem_x509_certificate(before.ca)
        if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
            raise ValueError("the CA's key is not an elliptic curve key; delete the Secret to have new ones created")
    else:
        ca_key = ec.generate_private_key(ec.SECP256R1())
        ca = _sign(_name("tradewind webhook CA"), None, ca_key, ca_key, now, CA_LIFE, [])
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign(_name(hosts[0]), ca, key, ca_key, now, CERTIFICATE_LIFE, hosts)
    return Bundle(_pem(ca), _key_pem(ca_key), _pem(certificate), _key_pem(key))


def needs_renewal(bundle: Bundle, hosts: list[str], now: datetime) -> bool:
    """True if the certificate expires soon or is for other hosts."""
    certificate = x509.load_pem_x509_certificate(bundle.certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return _expires(bundle.certificate) < now + RENEW_BEFORE or names.get_values_for_type(x509.DNSName) != hosts


class CertificateKeeper:
    """Keeps the Secret, the server's certificate and the CA in the webhook configuration consistent."""

    def __init__(
        self,
        client: KubeClient,
        *,
        namespace: str,
        secret: str,
        service: str,
        configuration: str,
        show: Callable[[bytes, bytes], None],
    ) -> None:
        """`show(certificate, key)` is called with each certificate that is read or created."""
        self._client, self._namespace, self._secret = client, namespace, secret
        self._hosts = [f"{service}.{namespace}.svc", f"{service}.{namespace}.svc.cluster.local"]
        self._configuration = configuration
        self._show = show

    async def refresh(self) -> None:
        """Read or create the certificate, serve it, and write the CA into the webhook configuration."""
        bundle = await self._read_or_make()
        self._show(bundle.certificate, bundle.key)
        if self._configuration:
            await self._inject(bundle.ca)

    async def _read_or_make(self) -> Bundle:
        for _ in range(5):
            now = datetime.now(UTC)
            stored = await self._stored()
            bundle = _bundle_of(stored) if stored else None
            if bundle is not None and not needs_renewal(bundle, self._hosts, now):
                return bundle
            try:
                return await self._store(make_bundle(self._hosts, now, bundle), stored)
            except ApiError as error:
                if not (error.is_conflict or error.is_already_exists):
                    raise
        raise RuntimeError(f"another client keeps changing Secret {self._namespace}/{self._secret}")

    async def _stored(self) -> dict[str, Any] | None:
        try:
            return await self._client.get(SECRETS, self._namespace, self._secret)
        except ApiError as error:
            if error.is_not_found:
                return None
            raise

    async def _store(self, bundle: Bundle, stored: dict[str, Any] | None) -> Bundle:
        data = {"ca.crt": bundle.ca, "ca.key": bundle.ca_key, "tls.crt": bundle.certificate, "tls.key": bundle.key}
        metadata = stored["metadata"] if stored else {"name": self._secret, "labels": _LABELS}
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "type": "Opaque",
            "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
        }
        if stored:
            path = SECRETS.path(self._namespace, self._secret)
            await self._client.request("PUT", path, body={**body, "type": stored.get("type", "Opaque")})
        else:
            await self._client.request("POST", SECRETS.path(self._namespace), body=body)
        log.info("created a certificate for %s in Secret %s/%s", self._hosts[0], self._namespace, self._secret)
        return bundle

    async def _inject(self, ca: bytes) -> None:
        path = VALIDATINGWEBHOOKCONFIGURATIONS.path(None, self._configuration)
        try:
            configuration = await self._client.request("GET", path)
        except ApiError as error:
            if error.is_not_found:
                message = "no ValidatingWebhookConfiguration named %s: the webhook's CA cannot be written to it"
                log.warning(message, self._configuration)
                return
            raise
        wanted = base64.b64encode(ca).decode()
        patch = [
            {"op": "add", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": wanted}
            for index, webhook in enumerate(configuration.get("webhooks", []))
            if webhook["clientConfig"].get("caBundle") != wanted
        ]
        if patch:
            await self._client.request("PATCH", path, body=patch, content_type="application/json-patch+json")


_CA_KEY_USAGE = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
_LABELS = {"app.kubernetes.io/managed-by": "tradewind"}


def _bundle_of(secret: dict[str, Any]) -> Bundle | None:
    data = secret.get("data") or {}
    parts = [base64.b64decode(data.get(name, "")) for name in ("ca.crt", "ca.key", "tls.crt", "tls.key")]
    return Bundle(*parts) if all(parts) else None


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _sign(
    subject: x509.Name,
    issuer: x509.Certificate | None,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    now: datetime,
    life: timedelta,
    hosts: list[str],
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + life)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if issuer is None:
        # Strict clients (Python from 3.13 on) reject a CA without key usage.
        builder = builder.add_extension(_CA_KEY_USAGE, critical=True)
    if hosts:
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(names, critical=False).add_extension(usage, critical=False)
    return builder.sign(signer, hashes.SHA256())


def _expires(pem: bytes) -> datetime:
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
