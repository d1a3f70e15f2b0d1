"""A certificate authority per cluster, and the certificates that it signs.

Each component gets a client certificate under the user name that Kubernetes'
built-in RBAC roles expect of it, so nothing runs with more rights than on a
production cluster. For local clusters only: keys are stored unencrypted in
the cluster's folder, readable by its owner.
"""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from localkube import files

_DAY = datetime.timedelta(days=1)
_LIFETIME = 3650 * _DAY


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its key, PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates into one folder, its own among them."""

    def __init__(self, folder: Path, file_name: str = "ca") -> None:
        """Create a new authority, replacing one with the same name in the folder."""
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _subject(f"localkube-{file_name}", ())
        builder = _builder(self._name, self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
        )
        self.pair = _store(folder, file_name, builder.sign(self._key, hashes.SHA256()), self._key)

    def client(self, file_name: str, user: str, groups: Sequence[str] = ()) -> KeyPair:
        """A client certificate for a Kubernetes user and its groups."""
        return self._issue(file_name, _subject(user, groups), ExtendedKeyUsageOID.CLIENT_AUTH, ())

    def server(self, file_name: str, addresses: Sequence[str], names: Sequence[str] = ()) -> KeyPair:
        """A serving certificate for addresses and DNS names."""
        alternatives = [
            *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
            *(x509.DNSName(name) for name in names),
        ]
        return self._issue(file_name, _subject(file_name, ()), ExtendedKeyUsageOID.SERVER_AUTH, tuple(alternatives))

    def _issue(
        self,
        file_name: str,
        subject: x509.Name,
        purpose: x509.ObjectIdentifier,
        alternatives: tuple[x509.GeneralName, ...],
    ) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(subject, self._name, key.public_key())
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
        )
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        return _store(self._folder, file_name, builder.sign(self._key, hashes.SHA256()), key)


def service_account_keys(folder: Path) -> KeyPair:
    """The key that signs service account tokens; its public key replaces the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    pair = KeyPair(folder / "service-account.pub", folder / "service-account.key")
    files.write(pair.certificate, public)
    files.write(pair.key, _private_pem(key), mode=0o600)
    return pair


def _subject(user: str, groups: Sequence[str]) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _LIFETIME)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _store(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    pair = KeyPair(folder / f"{name}.crt", folder / f"{name}.key")
    files.write(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM))
    files.write(pair.key, _private_pem(key), mode=0o600)
    return pair


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
