"""The methods of the Talos API that are called: what talos.proto and cosi.proto say, as calls over one connection."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from grpclib.const import Cardinality

from guards.talos import cosi_pb2 as cosi
from guards.talos import talos_pb2 as talos
from guards.talos.connection import Connection, within

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)


class Nonsense(Exception):
    """An answer that can be read, but is not what the API promises. The message says what was seen."""


@dataclass(frozen=True, slots=True)
class Method(Generic[Q, R]):
    """A unary call. Sent once, bounded; raises Nonsense, TimeoutError, and what sockets, TLS and grpclib raise."""

    path: str
    request: type[Q]
    reply: type[R]

    async def __call__(self, connection: Connection, request: Q) -> R:
        connection.doing = self.path.rpartition("/")[2]
        return await within(connection.limits.call, self._answer(connection, request))

    async def _answer(self, connection: Connection, request: Q) -> R:
        async with connection.request(self.path, Cardinality.UNARY_UNARY, self.request, self.reply) as stream:
            await stream.send_message(request, end=True)
            reply = await stream.recv_message()
        if reply is None:
            raise Nonsense("OK without a message")
        return reply


VERSION = Method("/machine.MachineService/Version", Empty, talos.VersionResponse)
HOSTNAME = Method("/machine.MachineService/Hostname", Empty, talos.HostnameResponse)
SYSTEM_STAT = Method("/machine.MachineService/SystemStat", Empty, talos.SystemStatResponse)
REBOOT = Method("/machine.MachineService/Reboot", talos.RebootRequest, talos.RebootResponse)
ETCD_STATUS = Method("/machine.MachineService/EtcdStatus", Empty, talos.EtcdStatusResponse)
ETCD_ALARM_LIST = Method("/machine.MachineService/EtcdAlarmList", Empty, talos.EtcdAlarmListResponse)
ETCD_MEMBER_LIST = Method(
    "/machine.MachineService/EtcdMemberList", talos.EtcdMemberListRequest, talos.EtcdMemberListResponse
)
GET = Method("/cosi.resource.State/Get", cosi.GetRequest, cosi.GetResponse)
