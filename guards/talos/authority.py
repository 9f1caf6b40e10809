"""A machine whose certificate our authority did not issue: whether it is in maintenance mode, or a stranger.

It is looked at by one more handshake, which verifies nothing, sends neither a request nor our certificate, and is
believed nothing but this.
"""

import ssl

from cryptography import x509
from cryptography.x509.oid import NameOID

from guards.core.evidence import Silence, Silent
from guards.talos.connection import Connection
from guards.talos.silence import asks_for_a_certificate, told

MAINTENANCE = "maintenance-service.talos.dev"
"""Common name in a Talos machine's certificate in maintenance mode (constants.MaintenanceServiceCommonName)."""
TALOS = "talos"
"""Organization of every cluster's Talos authority (secrets.NewTalosCA)."""


async def looked_at(connection: Connection, first: Silent) -> Silent:
    """The silence `first` of unknown authority, told for what it is; unchanged where that cannot be seen."""
    async with Connection(connection.address, connection.port, _unverified(), connection.limits) as look:
        try:
            await look.open()
            wants: bool | None = False
        except Exception as error:
            wants = asks_for_a_certificate(error) or None
        found = _judge(look.certificate, wants)
    return told(connection, *found) if found else first


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _judge(certificate: bytes | None, wants: bool | None) -> tuple[Silence, str] | None:
    """`wants`: whether it wants a client certificate; None = that could not be seen."""
    if certificate is None:
        return None
    try:
        read = x509.load_der_x509_certificate(certificate)
        name, issuer = _first(read.subject, NameOID.COMMON_NAME), _first(read.issuer, NameOID.ORGANIZATION_NAME)
    except ValueError:
        return None
    if name == MAINTENANCE or (issuer == TALOS and wants is False):
        return Silence.UNKNOWN_AUTHORITY, "maintenance mode: it has a certificate of its own and asks for none"
    if issuer == TALOS and wants:
        return Silence.STRANGER, "a machine of another cluster, or our talosconfig is another cluster's"
    if issuer == TALOS:
        return None
    return Silence.STRANGER, f"another TLS server, its certificate was issued by {read.issuer.rfc4514_string()!r}"


def _first(name: x509.Name, kind: x509.ObjectIdentifier) -> str:
    return next((str(each.value) for each in name.get_attributes_for_oid(kind)), "")
