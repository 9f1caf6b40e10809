"""One connection to one machine: grpclib's channel, made once, and open only when the machine has greeted.

Made once: all answers over it come from the same machine, also behind a virtual address that moves meanwhile, and no
request is ever sent a second time. Open only when greeted: in TLS 1.3 the handshake is over for us before the machine
has looked at our certificate. Its HTTP/2 greeting is the first proof that a machine of this cluster lives there and
accepts us; until then we say nothing, for an unread byte of ours would turn its refusal into a mere reset.
"""

import asyncio
import socket
import ssl
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from grpclib.client import Channel, Handler
from grpclib.protocol import H2Protocol
from h2.exceptions import ProtocolError

T = TypeVar("T")

CONNECT, HANDSHAKE, GREETING = "connect", "TLS handshake", "HTTP/2 greeting"
"""What is under way until the connection is open, for messages."""

_HEADER = 9
"""Length of the header of an HTTP/2 frame, in bytes (RFC 9113, 4.1)."""
_SETTINGS, _ACK = 4, 1
_LONGEST = 16_384
"""A longer frame needs our permission first (RFC 9113, 4.2)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Longest times, in seconds."""

    connect: float = 3
    """TCP, to one address."""
    handshake: float = 3
    """TLS and the HTTP/2 greeting after it."""
    call: float = 4
    """One question."""
    machine: float = 8
    """All of that at all addresses of one machine, side by side. Also one reboot."""
    round: float = 10
    """All questions to all machines."""


class NotSent(ConnectionResetError):
    """The connection was lost before this request: it never left."""


class NotHttp2(Exception):
    """What came after TLS is no greeting of an HTTP/2 server. The message says what was seen."""


class Connection(Channel):
    """`async with Connection(…) as connection: await connection.open()`, then requests."""

    def __init__(self, address: str, port: int, tls: ssl.SSLContext, limits: Limits) -> None:
        super().__init__(address, port, ssl=tls)
        self.address, self.port, self.limits = address, port, limits
        self.doing = CONNECT
        """What is under way, for messages."""
        self._line = _Line(Handler(), self._config, self._h2_config)
        self._opened = False

    @property
    def lost(self) -> BaseException | None:
        """What ended the connection, where the machine or its network did."""
        return self._line.lost

    @property
    def certificate(self) -> bytes | None:
        """The other side's, as DER, whether it was verified or not; None before the handshake is over."""
        return self._line.certificate

    async def open(self) -> None:
        """TCP, TLS, the other side's greeting. Raises what sockets and TLS raise, TimeoutError, NotHttp2."""
        await self.__connect__()

    async def _create_connection(self) -> H2Protocol:
        if self._opened:
            raise NotSent("the connection was lost")
        self._opened = True
        plain = await within(self.limits.connect, _connected(self.address, self.port))
        self.doing = HANDSHAKE
        await within(self.limits.handshake, self._greeted(plain))
        return self._line

    async def _greeted(self, plain: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self._line, sock=plain, ssl=self._ssl, server_hostname=self.address)
        self.doing = GREETING
        await self._line.greeted

    async def __aenter__(self) -> "Connection":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.cut()
        self.close()


async def _connected(address: str, port: int) -> socket.socket:
    plain = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        plain.setblocking(False)
        await asyncio.get_running_loop().sock_connect(plain, (address, port))
    except BaseException:
        plain.close()
        raise
    return plain


class _Line(H2Protocol):
    """The HTTP/2 side of the connection: grpclib's, from the other side's greeting on."""

    lost: BaseException | None = None
    certificate: bytes | None = None
    _transport: asyncio.Transport | None = None
    _early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        self.greeted = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        try:
            if self.greeted.done():
                self._take(data)
            else:
                self._greet(data)
        except (NotHttp2, ProtocolError) as error:
            self.lost = error
            self.cut()

    def _greet(self, data: bytes) -> None:
        self._early += data
        if greets(self._early):
            assert self._transport is not None
            super().connection_made(self._transport)  # sends our own greeting
            self._take(self._early)
            self.greeted.set_result(None)

    def _take(self, data: bytes) -> None:
        """What grpclib does with data, except that it would swallow ProtocolError."""
        events = self.connection.feed(data)
        self.connection.flush()
        for event in events:
            self.processor.process(event)
        self.connection.flush()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._transport = None  # grpclib closes it again now; Python 3.11.2 cannot abort it after that
        self.lost = self.lost or exc
        if self.greeted.done():
            super().connection_lost(exc)
        else:
            self.greeted.set_exception(self.lost or ConnectionResetError("the connection ended"))

    def cut(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def greets(data: bytes) -> bool:
    """Whether an HTTP/2 server's greeting is there in whole: a SETTINGS frame of the connection. NotHttp2."""
    if len(data) < _HEADER:
        return False
    length, kind, flags, stream = int.from_bytes(data[:3]), data[3], data[4], int.from_bytes(data[5:9])
    if length > _LONGEST or length % 6 or kind != _SETTINGS or flags & _ACK or stream:
        raise NotHttp2(f"no HTTP/2 server, it begins with {data[:40]!r}")
    return len(data) >= _HEADER + length


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """The work's result, or TimeoutError after `seconds` whatever the work does with being cancelled.

    Not asyncio.timeout: grpclib cancels the task it runs in, and swallows that; a timeout around it would lose count.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            raise TimeoutError(f"no whole answer within {seconds:.3g} s")
        return task.result()
    finally:
        task.cancel()
