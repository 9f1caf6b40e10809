"""Certificate authorities and talosconfigs as Talos makes them: Ed25519, roles as Organizations, its own PEM label."""

import base64
import ipaddress
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)
TALOS_LABEL, PKCS8_LABEL = b" ED25519 PRIVATE KEY-", b" PRIVATE KEY-"
"""Talos labels PKCS#8 in its own way, which OpenSSL does not know."""


def now() -> datetime:
    """TLS judges certificates by the real clock, so these tests live in the present."""
    return datetime.fromtimestamp(time.time(), UTC)


NOW = now()


class Pair(NamedTuple):
    """A certificate and its key, both PEM."""

    crt: bytes
    key: bytes


class Authority:
    """One Talos certificate authority: a new one, or that of a running cluster, whose certificate and key are given."""

    def __init__(self, own: Pair | None = None, name: str = "talos") -> None:
        self.crt, key = own or _own(name)
        loaded = serialization.load_pem_private_key(key.replace(TALOS_LABEL, PKCS8_LABEL), None)
        assert isinstance(loaded, Ed25519PrivateKey)
        self._key, certificate = loaded, x509.load_pem_x509_certificate(self.crt)
        self._name = certificate.subject
        # By the key's identifier TLS tells authorities apart that have the same name, as all of Talos have.
        identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        self._identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)

    def machine(self, *addresses: str, end: datetime = NOW + DAY, name: str = "") -> Pair:
        """The certificate of a machine's apid, valid for these addresses."""
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(each)) for each in addresses])
        return self._issue(_name(NameOID.COMMON_NAME, name), NOW - 2 * DAY, end, names)

    def client(self, roles: Iterable[str], begin: datetime = NOW - DAY, end: datetime = NOW + DAY) -> Pair:
        subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, role) for role in roles])
        return self._issue(subject, begin, end)

    def _issue(
        self, subject: x509.Name, begin: datetime, end: datetime, names: x509.SubjectAlternativeName | None = None
    ) -> Pair:
        key = Ed25519PrivateKey.generate()
        builder = _certificate(subject, self._name, key, begin, end).add_extension(self._identifier, critical=False)
        if names:
            builder = builder.add_extension(names, critical=True)
        return _pair(builder.sign(self._key, None), key)


def _own(organization: str) -> Pair:
    """A new authority's own certificate."""
    key, name = Ed25519PrivateKey.generate(), _name(NameOID.ORGANIZATION_NAME, organization)
    builder = _certificate(name, name, key, NOW - DAY, NOW + 365 * DAY)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return _pair(builder.sign(key, None), key)


def _name(kind: x509.ObjectIdentifier, value: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(kind, value)] if value else [])


def _pair(certificate: x509.Certificate, key: Ed25519PrivateKey) -> Pair:
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, *form)
    return Pair(certificate.public_bytes(serialization.Encoding.PEM), pem)


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: Ed25519PrivateKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    named = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    return named.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)


def document(ca: bytes, client: Pair) -> dict[str, object]:
    """The mapping in a talosconfig, with a second context that is not the current one."""
    key = client.key.replace(PKCS8_LABEL, TALOS_LABEL)
    encoded = {name: base64.b64encode(pem).decode() for name, pem in (("ca", ca), ("crt", client.crt), ("key", key))}
    return {"context": "homelab", "contexts": {"other": {}, "homelab": {"endpoints": ["192.0.2.1"], **encoded}}}


def talosconfig(authority: Authority, *roles: str, client: Pair | None = None) -> str:
    return yaml.safe_dump(document(authority.crt, client or authority.client(roles or ("os:operator",))))
