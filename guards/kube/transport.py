"""One HTTP exchange with the API server, bounded in every direction, over the official client's transport.

Nothing is repeated here: no retries, no redirects, no proxies from the environment. Read timeouts do not bound a
server that sends one byte at a time, so a timer shuts the socket down when the call's time is over.
"""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from kubernetes.client import Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.client.rest import RESTClientObject
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from guards.kube.errors import Unreachable


class NoAnswer(Unreachable):
    """The exchange broke: no connection, a reset, a truncated body, or out of time. A read may be tried again."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may cost. Times in seconds, sizes in bytes."""

    connect: float = 5
    read: float = 15
    total: float = 30
    body: int = 64 * 1024 * 1024
    tries: int = 5
    """Attempts of one read, as far as `total` allows."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and whole body of one exchange."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Connections of one thread to one API server. Another thread may call `close`."""

    def __init__(self, configuration: Configuration, limits: Limits) -> None:
        self.configuration = configuration
        self._limits = limits
        self._rest = RESTClientObject(configuration)
        self._rest.pool_manager.pool_classes_by_scheme = _pools(self._opened)
        self._brake: socket.socket | None = None
        self._late = False

    def send(
        self, method: str, url: str, headers: dict[str, str], body: Any = None, *, seconds: float | None = None
    ) -> Answer:
        """One request and its whole answer, whatever the status, within `seconds` (default: the total limit)."""
        limits = self._limits
        budget = limits.total if seconds is None else min(seconds, limits.total)
        with self._exchange(method, url, headers, body, read=min(limits.read, budget), total=budget) as response:
            return Answer(response.status, response.headers, self._read(response))

    @contextmanager
    def stream(
        self, url: str, headers: dict[str, str], *, seconds: float
    ) -> "Iterator[tuple[Answer, Iterator[bytes]]]":
        """One GET whose body arrives in pieces for at most `seconds`; the answer's own body is empty."""
        with self._exchange("GET", url, headers, None, read=seconds, total=seconds) as response:
            yield Answer(response.status, response.headers, b""), iter(lambda: response.read1(65536), b"")

    def close(self) -> None:
        """Shut everything down, also under the hands of the thread that is waiting for an answer."""
        self._stop()
        self._rest.close()
        if self._brake is not None:
            self._brake.close()

    @contextmanager
    def _exchange(
        self, method: str, url: str, headers: dict[str, str], body: Any, *, read: float, total: float
    ) -> Iterator[Any]:
        self._late = False
        timer = threading.Timer(total, self._stop)
        timer.daemon = True
        timer.start()
        response: Any = None
        try:
            timeouts = (min(self._limits.connect, total), read)
            response = self._request(method, url, headers, body, timeouts)
            yield response
        except (HTTPError, OSError, ApiException) as error:
            if not self._late:
                raise NoAnswer(_cause(error)) from error
        finally:
            timer.cancel()
            unfinished = response is None or not response.closed
            if unfinished:
                self._hang_up()  # unanswered, or half read: this connection is of no further use
            if response is not None:
                response.close()
            if unfinished:
                self._let_go()
        if self._late:
            # Also without an error: http.client takes a connection that ends within the headers for an empty answer.
            raise NoAnswer(f"no whole answer within {total:.0f}s")

    def _request(self, method: str, url: str, headers: dict[str, str], body: Any, timeouts: tuple[float, float]) -> Any:
        return self._rest.request(  # type: ignore[no-untyped-call]
            method, url, dict(headers), body, _request_timeout=timeouts
        ).response

    def _read(self, response: Any) -> bytes:
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise Unreachable(f"the answer is encoded as {encoding!r:.60}, which was not asked for")
        pieces, size = [], 0
        while piece := response.read(65536, decode_content=False):
            size += len(piece)
            if size > self._limits.body:
                raise Unreachable(f"the answer is longer than {self._limits.body} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    def _opened(self, connection: socket.socket) -> None:
        """Keep a second handle: TLS takes the first one over, but a shutdown reaches both."""
        if self._brake is not None:
            self._brake.close()
        self._brake = connection.dup()
        if self._late:
            self._stop()

    def _stop(self) -> None:
        self._late = True
        self._hang_up()

    def _let_go(self) -> None:
        """While this handle is open, a server that sends without end fills our buffer and never learns that we left."""
        brake, self._brake = self._brake, None
        if brake is not None:
            brake.close()

    def _hang_up(self) -> None:
        """Closing the other handle is not enough: the server would not notice while this one is open."""
        if self._brake is not None:
            with suppress(OSError):  # closed already
                self._brake.shutdown(socket.SHUT_RDWR)


def _pools(opened: Callable[[socket.socket], None]) -> dict[str, Any]:
    """Connection pools that report every socket they open."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            connection = super()._new_conn()
            opened(connection)
            return connection

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            connection = super()._new_conn()
            opened(connection)
            return connection

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _cause(error: BaseException) -> str:
    """The innermost sentence of a chain like ProtocolError('Connection broken', ConnectionResetError(104, …))."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    if isinstance(error, ssl.SSLCertVerificationError):  # its reason is only that verification failed
        return f"its certificate: {error.verify_message}, expected a valid one of this cluster's authority"
    text = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
    return f"{type(error).__name__}: {text}"
