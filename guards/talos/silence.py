"""What it means that a machine gave no usable answer: every error of sockets, TLS, HTTP/2 and gRPC as a `Silent`."""

import os
import ssl

from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError

from guards.core.evidence import Silence, Silent
from guards.talos.connection import HANDSHAKE, Connection, NotHttp2, NotSent
from guards.talos.methods import Nonsense
from guards.text import printable

_NOT_FOR_US = frozenset({Status.PERMISSION_DENIED, Status.UNAUTHENTICATED})
_NOT_DONE = _NOT_FOR_US | {Status.UNIMPLEMENTED, Status.FAILED_PRECONDITION}
_NOT_THERE = frozenset({Status.UNAVAILABLE, Status.DEADLINE_EXCEEDED, Status.CANCELLED})
_WRONG_NAME = frozenset({62, 64})
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and _IP_ADDRESS_MISMATCH."""
_WRONG_TIME = frozenset({9, 10})
"""X509_V_ERR_CERT_NOT_YET_VALID and _HAS_EXPIRED."""
_REFUSALS = {
    "CERTIFICATE_EXPIRED": "by the machine's clock it is not valid now",
    "UNKNOWN_CA": "it was not issued by this cluster's Talos authority",
    "BAD_CERTIFICATE": "it does not hold in the machine's eyes",
    "CERTIFICATE_REQUIRED": "none arrived",
    "CERTIFICATE_REVOKED": "it has been revoked",
    "CERTIFICATE_UNKNOWN": "no reason given",
    "UNSUPPORTED_CERTIFICATE": "it is not made for clients",
    "ACCESS_DENIED": "access denied",
    "DECRYPT_ERROR": "its signature is wrong",
}
"""What a TLS alert of the machine says about our certificate (RFC 8446, 6.2), by the end of OpenSSL's name for it."""
_OTHER_TLS = ("PROTOCOL_VERSION", "HANDSHAKE_FAILURE", "NO_APPLICATION_PROTOCOL")
"""Alerts of a server that speaks an older TLS, or no HTTP/2: no Talos machine does."""

_EXPECTED = {
    Silence.UNREACHABLE: "an answer of the Talos API",
    Silence.UNKNOWN_AUTHORITY: "a certificate of this cluster's Talos authority",
    Silence.STRANGER: "a machine of this cluster",
    Silence.DENIED: "to be accepted with our talosconfig",
    Silence.BROKEN: "what the Talos API promises",
}


def silent(error: Exception, connection: Connection) -> Silent:
    """The error as what it says about the machine. The unforeseen is BROKEN: unreachable machines are acted on."""
    return told(connection, *_judge(_cause(error, connection.lost), connection.doing))


def told(connection: Connection, why: Silence, seen: str) -> Silent:
    """Address, what was under way, what was seen, what was expected."""
    text = f"{connection.address}: {connection.doing}: {printable(seen, 300)}, expected {_EXPECTED[why]}"
    return Silent(why, text)


def refused(error: Exception) -> bool:
    """Whether the machine certainly did not do what it was told over an open connection."""
    return isinstance(error, NotSent) or (isinstance(error, GRPCError) and error.status in _NOT_DONE)


def asks_for_a_certificate(error: Exception) -> bool:
    """Whether the other side ended the connection because no client certificate came."""
    return isinstance(error, ssl.SSLError) and "ALERT" in (reason := _reason(error)) and "CERTIFICATE" in reason


def _cause(error: Exception, lost: BaseException | None) -> BaseException:
    """grpclib tells that the connection is gone, not why."""
    return lost if lost is not None and isinstance(error, StreamTerminatedError | NotSent) else error


def _judge(error: BaseException, doing: str) -> tuple[Silence, str]:
    match error:
        case ssl.SSLCertVerificationError():
            return _server_certificate(error)
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return Silence.UNREACHABLE, "the connection ended"
        case ssl.SSLError():
            return _no_tls(_reason(error)) if doing == HANDSHAKE else _alert(_reason(error))
        case GRPCError():
            return _status(error.status), f"{error.message} ({error.status.name})"
        case OSError() | TimeoutError():
            # asyncio puts its own text in place of the system's
            return Silence.UNREACHABLE, os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
        case StreamTerminatedError():
            return Silence.UNREACHABLE, str(error)
        case Nonsense() | NotHttp2():
            return Silence.BROKEN, str(error)
        case _:
            return Silence.BROKEN, f"{type(error).__name__}: {error}"


def _server_certificate(error: ssl.SSLCertVerificationError) -> tuple[Silence, str]:
    seen = f"its certificate: {error.verify_message}"
    if error.verify_code in _WRONG_NAME | _WRONG_TIME:
        return Silence.BROKEN, seen
    return Silence.UNKNOWN_AUTHORITY, f"{seen}: maintenance mode or another cluster's machine"


def _no_tls(reason: str) -> tuple[Silence, str]:
    """Before its certificate was verified nothing says that it is a machine of this cluster."""
    if "ALERT" not in reason:
        return Silence.STRANGER, f"a server that does not speak TLS ({reason})"
    if reason.endswith(_OTHER_TLS):
        return Silence.STRANGER, f"a TLS server, but not a Talos machine's ({reason})"
    return Silence.BROKEN, f"it ends the handshake ({reason})"


def _alert(reason: str) -> tuple[Silence, str]:
    """A machine of this cluster, by its verified certificate, ends the connection and says why."""
    for name, meaning in _REFUSALS.items():
        if "ALERT" in reason and reason.endswith(name):
            return Silence.DENIED, f"our client certificate is refused: {meaning} ({reason})"
    return Silence.BROKEN, f"no TLS as expected ({reason})"


def _reason(error: ssl.SSLError) -> str:
    return error.reason or str(error)


def _status(status: Status) -> Silence:
    if status in _NOT_FOR_US:
        return Silence.DENIED
    return Silence.UNREACHABLE if status in _NOT_THERE else Silence.BROKEN
