"""Machines with a Talos API on loopback addresses: real sockets, mTLS, HTTP/2, roles; and some that misbehave."""

import asyncio
import socket
import ssl
import tempfile
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any

from google.protobuf.message import Message
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.server import Server, Stream

from guards.talos import cosi_pb2 as cosi
from guards.talos import methods
from guards.talos import talos_pb2 as talos
from tests.talos.pki import Authority, Pair

AnyMethod = methods.Method[Any, Any]
Answer = Message | GRPCError | Callable[[Stream[Any, Any]], Awaitable[None]]
Act = Callable[[socket.socket, threading.Event], None]
METHODS: dict[str, AnyMethod] = {
    value.path.rpartition("/")[2]: value for value in vars(methods).values() if isinstance(value, methods.Method)
}
MEMBERS = ((0xC1, "cp-1"), (0xC2, "cp-2"), (0xC3, "cp-3"))


class Apid:
    """One machine. `answers`: by method, what it says; `seen`: every request that reached it, also refused ones."""

    def __init__(self, hostname: str, member: int = 0xC1) -> None:
        self.seen: list[tuple[str, Message]] = []
        self.answers: dict[str, Answer] = healthy(hostname, member)

    def __mapping__(self) -> Mapping[str, Handler]:
        return {method.path: self._handler(name, method) for name, method in METHODS.items()}

    def _handler(self, name: str, method: AnyMethod) -> Handler:
        async def handle(stream: Stream[Any, Any]) -> None:
            self.seen.append((name, await stream.recv_message()))
            allowed = {"os:admin", "os:operator"} | ({"os:reader"} if name != "Reboot" else set())
            if not allowed & roles(stream):
                raise GRPCError(Status.PERMISSION_DENIED, "not authorized")
            answer = self.answers[name]
            if isinstance(answer, GRPCError):
                raise answer
            if isinstance(answer, Message):
                await stream.send_message(answer)
            else:
                await answer(stream)

        return Handler(handle, Cardinality.UNARY_UNARY, method.request, method.reply)


def roles(stream: Stream[Any, Any]) -> set[str]:
    certificate = stream.peer.cert() or {}
    return {value for row in certificate["subject"] for key, value in row if key == "organizationName"}


def healthy(hostname: str, member: int) -> dict[str, Answer]:
    status = talos.EtcdMemberStatus(member_id=member, leader=MEMBERS[0][0])
    rows = [talos.EtcdMember(id=id, hostname=name) for id, name in reversed(MEMBERS)]
    return {
        "Hostname": talos.HostnameResponse(messages=[talos.Hostname(hostname=hostname)]),
        "Version": talos.VersionResponse(messages=[talos.Version(version=talos.VersionInfo(tag="v1.13.9"))]),
        "SystemStat": talos.SystemStatResponse(messages=[talos.SystemStat(boot_time=1_800_000_000)]),
        "Get": machine_status(cosi.MachineStatusSpec.RUNNING),
        "Reboot": talos.RebootResponse(messages=[talos.Reboot(actor_id="a")]),
        "EtcdStatus": talos.EtcdStatusResponse(messages=[talos.EtcdStatus(member_status=status)]),
        "EtcdAlarmList": talos.EtcdAlarmListResponse(messages=[talos.EtcdAlarm()]),
        "EtcdMemberList": talos.EtcdMemberListResponse(messages=[talos.EtcdMembers(members=rows)]),
    }


def machine_status(stage: int) -> Message:
    spec = cosi.MachineStatusSpec.FromString(bytes([0x08, stage]))  # also stages that the .proto does not know
    return cosi.GetResponse(
        resource=cosi.Resource(
            metadata=cosi.Metadata(type="MachineStatuses.runtime.talos.dev", id="machine"),
            spec=cosi.Spec(proto_spec=spec.SerializeToString()),
        )
    )


def context(pair: Pair, clients: Authority | None) -> ssl.SSLContext:
    """The server's side of TLS; without `clients` it asks for no client certificate, as in maintenance mode."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.set_alpn_protocols(["h2"])
    with tempfile.NamedTemporaryFile() as file:
        file.write(pair.crt + pair.key)
        file.flush()
        made.load_cert_chain(file.name)
    if clients:
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(cadata=clients.crt.decode())
    return made


class Machines:
    """Addresses with something behind them, all on one port. Close it, and the port is silent."""

    def __init__(self, port: int = 0) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = port or free.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._servers: list[Server] = []
        self._listeners: list[socket.socket] = []
        self._over = threading.Event()

    def serve(self, apid: Apid, address: str, tls: ssl.SSLContext) -> None:
        """A real apid at an address."""

        async def start() -> None:
            server = Server([apid])
            await server.start(address, self.port, ssl=tls)
            self._servers.append(server)

        self._await(start())

    def misbehave(self, address: str, act: Act, tls: ssl.SSLContext | None = None) -> None:
        """Something else: `act` gets each connection, and an event that is set when the test is over."""
        listener = socket.create_server((address, self.port))
        self._listeners.append(listener)

        def connected(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                if tls is None:
                    act(connection, self._over)
                else:
                    with tls.wrap_socket(connection, server_side=True) as encrypted:
                        act(encrypted, self._over)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=connected, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()

    def close(self) -> None:
        async def stop() -> None:
            for server in self._servers:
                server.close()
                await server.wait_closed()

        self._over.set()
        for listener in self._listeners:
            with suppress(OSError):  # wakes the thread in accept
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self._await(stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _await(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(5)
