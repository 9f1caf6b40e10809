"""What it means that a machine gave no usable answer: every error of sockets, TLS, HTTP/2 and gRPC as a `Silent`."""

import os
import ssl

from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError

from guards.core.evidence import Silence, Silent
from guards.talos.connection import Connection, NotSent
from guards.talos.methods import Nonsense
from guards.text import printable

_NOT_FOR_US = frozenset({Status.PERMISSION_DENIED, Status.UNAUTHENTICATED})
_NOT_DONE = _NOT_FOR_US | {Status.UNIMPLEMENTED, Status.FAILED_PRECONDITION}
_NOT_THERE = frozenset({Status.UNAVAILABLE, Status.DEADLINE_EXCEEDED, Status.CANCELLED})
_ABOUT_OUR_CERTIFICATE = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "DECRYPT_ERROR")
_WRONG_NAME = frozenset({62, 64})
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and _IP_ADDRESS_MISMATCH."""
_WRONG_TIME = frozenset({9, 10})
"""X509_V_ERR_CERT_NOT_YET_VALID and _HAS_EXPIRED."""

_EXPECTED = {
    Silence.UNREACHABLE: "an answer of the Talos API",
    Silence.UNKNOWN_AUTHORITY: "a certificate of this cluster's Talos authority",
    Silence.DENIED: "to be accepted with our talosconfig",
    Silence.BROKEN: "what the Talos API promises",
}


def silent(error: Exception, connection: Connection) -> Silent:
    """The error as what it says about the machine. The unforeseen is BROKEN: unreachable machines are acted on."""
    why, seen = _judge(_cause(error, connection.lost))
    text = f"{connection.address}: {connection.doing}: {printable(seen, 200)}, expected {_EXPECTED[why]}"
    return Silent(why, text)


def refused(error: Exception, connection: Connection) -> bool:
    """Whether the machine certainly did not do what it was told over this open connection."""
    if isinstance(error, NotSent):
        return True
    cause = _cause(error, connection.lost)
    if isinstance(cause, GRPCError):
        return cause.status in _NOT_DONE
    return _judge(cause)[0] is Silence.DENIED  # TLS never let the request in


def _cause(error: Exception, lost: BaseException | None) -> BaseException:
    """grpclib tells that the connection is gone, not why."""
    return lost if lost is not None and isinstance(error, StreamTerminatedError | NotSent) else error


def _judge(error: BaseException) -> tuple[Silence, str]:
    match error:
        case ssl.SSLCertVerificationError():
            return _server_certificate(error)
        case ssl.SSLError():
            return _tls(error)
        case GRPCError():
            return _status(error.status), f"{error.message} ({error.status.name})"
        case OSError() | TimeoutError():
            # asyncio puts its own text in place of the system's
            return Silence.UNREACHABLE, os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
        case StreamTerminatedError() if "Protocol error" not in str(error):
            return Silence.UNREACHABLE, str(error)
        case Nonsense():
            return Silence.BROKEN, str(error)
        case _:
            return Silence.BROKEN, f"{type(error).__name__}: {error}"


def _server_certificate(error: ssl.SSLCertVerificationError) -> tuple[Silence, str]:
    seen = f"its certificate: {error.verify_message}"
    if error.verify_code in _WRONG_NAME | _WRONG_TIME:
        return Silence.BROKEN, seen
    return Silence.UNKNOWN_AUTHORITY, f"{seen}: maintenance mode or another cluster's machine"


def _tls(error: ssl.SSLError) -> tuple[Silence, str]:
    reason = error.reason or str(error)
    if "ALERT" in reason and any(word in reason for word in _ABOUT_OUR_CERTIFICATE):
        return Silence.DENIED, f"our client certificate is refused ({reason})"
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Silence.UNREACHABLE, "the connection ended"
    return Silence.BROKEN, f"no TLS as expected ({reason})"


def _status(status: Status) -> Silence:
    if status in _NOT_FOR_US:
        return Silence.DENIED
    return Silence.UNREACHABLE if status in _NOT_THERE else Silence.BROKEN
