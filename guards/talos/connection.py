"""One connection to one machine: grpclib's channel, made once, and with two things that grpclib keeps to itself.

Made once: all answers over it come from the same machine, also behind a virtual address that moves meanwhile, and no
request is ever sent a second time. Kept to itself: why the connection was lost (TLS 1.3 tells only after the handshake
that it refuses our certificate), and the transport, to cut it off instead of waiting for the other side's farewell.
"""

import asyncio
import ssl
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, TypeVar

from grpclib.client import Channel, Handler
from grpclib.protocol import H2Protocol

T = TypeVar("T")


class NotSent(ConnectionResetError):
    """The connection was lost before this request: it never left."""


class Connection(Channel):
    """`async with Connection(…) as connection: await connection.open(…)`, then requests."""

    def __init__(self, address: str, port: int, tls: ssl.SSLContext) -> None:
        super().__init__(address, port, ssl=tls)
        self.address = address
        self.doing = "connect"
        """What is under way, for messages."""
        self._line = _Line(Handler(), self._config, self._h2_config)
        self._opened = False

    @property
    def lost(self) -> BaseException | None:
        """What ended the connection, where the machine or its network did."""
        return self._line.lost

    async def open(self, seconds: float) -> None:
        """Connect, TLS included. Raises what sockets and TLS raise, TimeoutError."""
        await within(seconds, self.__connect__())

    async def _create_connection(self) -> H2Protocol:
        if self._opened:
            raise NotSent("the connection was lost")
        self._opened = True
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self._line, self.address, self._port, ssl=self._ssl)
        return self._line

    async def __aenter__(self) -> "Connection":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.cut()
        self.close()


class _Line(H2Protocol):
    """The HTTP/2 side of the connection."""

    lost: BaseException | None = None
    _transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost = self.lost or exc
        super().connection_lost(exc)

    def cut(self) -> None:
        if self._transport is not None:
            self._transport.abort()


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
