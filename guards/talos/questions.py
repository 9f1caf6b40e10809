"""What one machine is asked, and how its answers read. Facts are taken as they are; only what is none is refused."""

from collections.abc import Sequence
from typing import TypeVar

from google.protobuf.empty_pb2 import Empty

from guards.core.evidence import Answer, EtcdView, Member
from guards.talos.connection import Connection
from guards.talos.cosi_pb2 import GetRequest, MachineStatusSpec
from guards.talos.methods import (
    ETCD_ALARM_LIST,
    ETCD_MEMBER_LIST,
    ETCD_STATUS,
    GET,
    HOSTNAME,
    SYSTEM_STAT,
    VERSION,
    Nonsense,
)
from guards.talos.talos_pb2 import EtcdMember, EtcdMemberAlarm, EtcdMemberListRequest
from guards.text import printable

T = TypeVar("T")

MACHINE_STATUS = GetRequest(namespace="runtime", type="MachineStatuses.runtime.talos.dev", id="machine")


async def about_itself(connection: Connection) -> Answer:
    """Raises Nonsense, and what sockets, TLS and grpclib raise."""
    hostname = await _hostname(connection)
    version = _given("version", _one((await VERSION(connection, Empty())).messages).version.tag)
    boot_time = await _boot_time(connection)
    stage = await _stage(connection)
    return Answer(connection.address, hostname, printable(version, 60), boot_time, stage)


async def who(connection: Connection) -> tuple[str, int]:
    """Host name and boot time: what tells a machine, and a boot of it, from all others. Raises the same."""
    return await _hostname(connection), await _boot_time(connection)


async def about_etcd(connection: Connection) -> EtcdView:
    """The same of etcd's member on this machine: its own status, alarms and list of members."""
    status = _one((await ETCD_STATUS(connection, Empty())).messages).member_status
    _given("member id", status.member_id)
    alarms = _one((await ETCD_ALARM_LIST(connection, Empty())).messages).member_alarms
    # Without query_local Talos asks whichever member answers first, and the views of all members would agree by nature.
    members = _one((await ETCD_MEMBER_LIST(connection, EtcdMemberListRequest(query_local=True))).messages).members
    return EtcdView(
        member_id=status.member_id,
        leader=status.leader,
        learner=status.is_learner,
        errors=tuple(printable(error, 200) for error in status.errors),
        alarms=tuple(f"{_alarm(each)} of member {each.member_id:x}" for each in alarms),
        members=_members(members),
    )


async def _hostname(connection: Connection) -> str:
    return printable(_given("host name", _one((await HOSTNAME(connection, Empty())).messages).hostname), 253)


async def _boot_time(connection: Connection) -> int:
    return _given("boot time", _one((await SYSTEM_STAT(connection, Empty())).messages).boot_time)


async def _stage(connection: Connection) -> str:
    resource = (await GET(connection, MACHINE_STATUS)).resource
    if resource.metadata.type != MACHINE_STATUS.type or not resource.HasField("spec"):
        raise Nonsense(f"resource of type {printable(resource.metadata.type, 60)!r}")
    stage = MachineStatusSpec.FromString(resource.spec.proto_spec).stage
    known = stage in MachineStatusSpec.Stage.values()
    return MachineStatusSpec.Stage.Name(stage).lower().replace("_", " ") if known else "unknown"


def _members(rows: Sequence[EtcdMember]) -> tuple[Member, ...]:
    ids = sorted(row.id for row in rows)
    if not ids or ids[0] == 0 or len(set(ids)) < len(ids):
        raise Nonsense(f"member ids {ids}")
    ordered = sorted(rows, key=lambda row: row.id)
    return tuple(Member(row.id, printable(row.hostname, 253), row.is_learner) for row in ordered)


def _alarm(row: EtcdMemberAlarm) -> str:
    known = row.alarm in EtcdMemberAlarm.AlarmType.values()
    return EtcdMemberAlarm.AlarmType.Name(row.alarm) if known else f"alarm {row.alarm}"


def _one(messages: Sequence[T]) -> T:
    if len(messages) != 1:
        raise Nonsense(f"{len(messages)} messages instead of one")
    return messages[0]


def _given(what: str, value: T) -> T:
    """A zero or an empty text is not a value that was sent."""
    if not value:
        raise Nonsense(f"no {what}")
    return value
