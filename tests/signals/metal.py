"""The Talos API of every simulated machine, on loopback addresses at its real port: mTLS, HTTP/2, gRPC."""

import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from google.protobuf.message import Message
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.server import Stream

from guards.core.evidence import Answer, EtcdView, Silence, Silent
from guards.parameters import RebootMode
from guards.simulator.records import MachineRecord
from guards.simulator.talos import SimulatedTalos
from guards.talos import cosi_pb2 as cosi
from guards.talos import talos_pb2 as talos
from guards.talos.client import PORT
from guards.talos.ports import Refused, Unproven
from tests.talos.apid import METHODS, Apid, Machines, context, machine_status
from tests.talos.pki import Authority

SIMULATED = "10.90."
SERVERS = 6


class Metal:
    """Six servers: the control plane's and the workers'. `on_reboot` is told a Machine's UID before it is rebooted."""

    def __init__(self, machines: SimulatedTalos, lock: threading.RLock, authority: Authority) -> None:
        self.talos, self.lock = machines, lock
        self.on_reboot: Callable[[str], None] = lambda uid: None
        self.on_request: Callable[[], None] = lambda: None
        self._own, self.prefix = _free_block()
        self._apids = Machines(PORT)
        for address in (f"1.{server + 1}" for server in range(SERVERS)):
            tls = context(authority.machine(self.prefix + address), authority)
            self._apids.serve(Simulated(self, SIMULATED + address), self.prefix + address, tls)

    def to_wire(self, text: str) -> str:
        return text.replace(f'"{SIMULATED}', f'"{self.prefix}')

    def close(self) -> None:
        self._apids.close()
        self._own.close()


def _free_block() -> tuple[socket.socket, str]:
    """Addresses that no other run of these tests on this computer uses, and what keeps them ours."""
    for block in range(16, 250):
        with suppress(OSError):
            return socket.create_server((f"127.{block}.0.1", PORT)), f"127.{block}."
    raise AssertionError(f"no loopback address with a free port {PORT}")


class Simulated(Apid):
    """One server; which machine lives on it now, the world says."""

    def __init__(self, metal: Metal, address: str) -> None:
        self.seen: list[tuple[str, Message]] = []
        self._metal, self._address = metal, address
        self.answers = {name: self._answer(name) for name in METHODS}

    def _answer(self, name: str) -> Callable[[Stream[Any, Any]], Awaitable[None]]:
        async def answer(stream: Stream[Any, Any]) -> None:
            self._metal.on_request()
            with self._metal.lock:
                machine = self._metal.talos._usable(self._address)
                said = self._say(name, machine)
            if isinstance(said, Silent):
                if said.why is not Silence.UNREACHABLE:
                    raise GRPCError(Status.PERMISSION_DENIED, said.text)
                stream._stream._transport.abort()  # type: ignore[attr-defined]
            else:
                await stream.send_message(said)

        return answer

    def _say(self, name: str, machine: MachineRecord | Silent) -> Message | Silent:
        if isinstance(machine, Silent):
            return machine
        if name == "Reboot":
            return self._reboot(machine)
        found = self._metal.talos._etcd if name.startswith("Etcd") else self._metal.talos._answer
        facts: Any = found(self._address, machine)
        return facts if isinstance(facts, Silent) else MESSAGES[name](facts)

    def _reboot(self, machine: MachineRecord) -> Message | Silent:
        self._metal.on_reboot(machine.uid)
        try:
            self._metal.talos.reboot(self._metal.talos._answer(self._address, machine), RebootMode.POWERCYCLE)
        except Refused as error:
            raise GRPCError(Status.PERMISSION_DENIED, str(error)) from error
        except Unproven as error:
            return Silent(Silence.UNREACHABLE, str(error))
        return talos.RebootResponse(messages=[talos.Reboot(actor_id="a")])


def _stage(own: Answer) -> Message:
    return machine_status(cosi.MachineStatusSpec.Stage.Value(own.stage.upper().replace(" ", "_")))


def _version(own: Answer) -> Message:
    return talos.VersionResponse(messages=[talos.Version(version=talos.VersionInfo(tag=own.version))])


def _status(view: EtcdView) -> Message:
    status = talos.EtcdMemberStatus(
        leader=view.leader, errors=view.errors, is_learner=view.learner, member_id=view.member_id
    )
    return talos.EtcdStatusResponse(messages=[talos.EtcdStatus(member_status=status)])


def _members(view: EtcdView) -> Message:
    rows = [talos.EtcdMember(id=row.id, hostname=row.hostname, is_learner=row.learner) for row in view.members]
    return talos.EtcdMemberListResponse(messages=[talos.EtcdMembers(members=rows)])


MESSAGES: dict[str, Callable[[Any], Message]] = {
    "Hostname": lambda own: talos.HostnameResponse(messages=[talos.Hostname(hostname=own.hostname)]),
    "Version": _version,
    "SystemStat": lambda own: talos.SystemStatResponse(messages=[talos.SystemStat(boot_time=own.boot_time)]),
    "Get": _stage,
    "EtcdStatus": _status,
    "EtcdAlarmList": lambda _: talos.EtcdAlarmListResponse(messages=[talos.EtcdAlarm()]),
    "EtcdMemberList": _members,
}
