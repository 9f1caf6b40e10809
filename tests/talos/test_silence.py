"""Why a machine gave no usable answer: every way over real sockets, each bounded, none an exception."""

import socket
import threading
from datetime import timedelta
from typing import Any

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from guards.core.evidence import Answer, Silence, Silent
from guards.talos import cosi_pb2 as cosi
from guards.talos import talos_pb2 as talos
from guards.talos.connection import Limits
from tests.talos.apid import Answer as Reply
from tests.talos.apid import Apid, context
from tests.talos.conftest import PATIENT, QUICK, Lab, target
from tests.talos.pki import DAY, NOW, talosconfig

HOME = "127.0.0.1"


def asked(lab: Lab, *addresses: str, limits: Limits = PATIENT) -> Silent:
    """The silence of a control-plane machine; its etcd is as silent."""
    found = lab.client(limits).ask([target("cp-1", *addresses or (HOME,))])
    answer = found.machines["uid-cp-1"]
    assert isinstance(answer, Silent), answer
    assert found.etcd["uid-cp-1"] == answer
    return answer


# Nobody there, or too slow


def test_a_closed_port_is_unreachable(lab: Lab) -> None:
    text = "127.0.0.1: connect: Connection refused, expected an answer of the Talos API"
    assert asked(lab) == Silent(Silence.UNREACHABLE, text)


def test_a_socket_that_says_nothing_is_unreachable(lab: Lab) -> None:
    lab.machines.misbehave(HOME, lambda _, over: over.wait() and None)
    text = "127.0.0.1: TLS handshake: no whole answer within 0.3 s, expected an answer of the Talos API"
    assert asked(lab, limits=QUICK) == Silent(Silence.UNREACHABLE, text)


def test_a_connection_that_is_cut_is_unreachable(lab: Lab) -> None:
    lab.machines.misbehave(HOME, lambda connection, _: connection.close())
    assert asked(lab).why is Silence.UNREACHABLE


def drip(connection: socket.socket, over: threading.Event) -> None:
    """A healthy host name, one byte at a time: every read makes progress, the whole answer takes five seconds."""
    frames = bytes.fromhex("000000040000000000")  # SETTINGS, empty
    frames += bytes.fromhex("00010001040000000100") + bytes(255)  # HEADERS of stream 1, 256 bytes
    for byte in frames:
        connection.sendall(bytes([byte]))
        if over.wait(5 / len(frames)):
            return


def test_a_slow_drip_does_not_outlast_the_limit(lab: Lab) -> None:
    tls = context(lab.authority.machine(HOME), lab.authority)
    lab.machines.misbehave(HOME, drip, tls)
    answer = asked(lab, limits=QUICK)
    assert answer.why is Silence.UNREACHABLE
    assert "Hostname: no whole answer within 0." in answer.text


def test_one_question_that_hangs_is_enough(lab: Lab) -> None:
    lab.machine("cp-1", HOME).answers["SystemStat"] = hang
    answer = asked(lab, limits=Limits(call=0.3, machine=5))
    text = "127.0.0.1: SystemStat: no whole answer within 0.3 s, expected an answer of the Talos API"
    assert answer == Silent(Silence.UNREACHABLE, text)


def test_the_round_ends_although_a_machine_may_take_longer(lab: Lab) -> None:
    lab.machines.misbehave(HOME, lambda _, over: over.wait() and None)
    lab.machine("cp-2", "127.0.0.2")
    found = lab.client(Limits(handshake=60, machine=60, round=2)).ask(
        [target("cp-1", HOME), target("cp-2", "127.0.0.2")]
    )
    text = "no whole answer within 2 s, expected one of each machine"
    assert found.machines["uid-cp-1"] == found.etcd["uid-cp-1"] == Silent(Silence.UNREACHABLE, text)
    assert isinstance(found.machines["uid-cp-2"], Answer)


def test_one_silent_machine_does_not_use_up_the_time_of_the_others(lab: Lab) -> None:
    """Twelve that hang for 0.3 s each, one after the other, would take longer than the round."""
    wanted = [target(f"cp-{n}", f"127.0.1.{n}") for n in range(1, 13)]
    for each in wanted:
        lab.machines.misbehave(each.addresses[0], lambda _, over: over.wait() and None)
    found = lab.client(Limits(handshake=0.3, machine=0.6, round=2)).ask(wanted)
    assert {answer.text[-70:] for answer in found.machines.values() if isinstance(answer, Silent)} == {
        ": TLS handshake: no whole answer within 0.3 s, expected an answer of the Talos API"[-70:]
    }


# Not for us, or not as promised


@pytest.mark.parametrize(("addresses", "end"), [(("127.0.0.7",), NOW + DAY), ((HOME,), NOW - timedelta(seconds=1))])
def test_a_certificate_for_another_address_or_time_is_broken(lab: Lab, addresses: tuple[str, ...], end: object) -> None:
    machine = Apid("cp-1")
    pair = lab.authority.machine(*addresses, end=end)  # type: ignore[arg-type]
    lab.machines.serve(machine, HOME, context(pair, lab.authority))
    answer = asked(lab)
    assert answer.why is Silence.BROKEN
    assert "127.0.0.1: TLS handshake: its certificate: " in answer.text
    assert machine.seen == []


def test_a_role_that_may_not_ask_is_denied(lab: Lab) -> None:
    lab.file.write_text(talosconfig(lab.authority, "os:etcd:backup"))
    lab.machine("cp-1", HOME)
    text = "127.0.0.1: Hostname: not authorized (PERMISSION_DENIED), expected to be accepted with our talosconfig"
    assert asked(lab) == Silent(Silence.DENIED, text)


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (Status.UNAUTHENTICATED, Silence.DENIED),
        (Status.UNAVAILABLE, Silence.UNREACHABLE),
        (Status.DEADLINE_EXCEEDED, Silence.UNREACHABLE),
        (Status.UNIMPLEMENTED, Silence.BROKEN),
        (Status.INTERNAL, Silence.BROKEN),
        (Status.UNKNOWN, Silence.BROKEN),
    ],
)
def test_a_status_says_why(lab: Lab, status: Status, why: Silence) -> None:
    lab.machine("cp-1", HOME).answers["Get"] = GRPCError(status, "line one\nline two")
    answer = asked(lab)
    assert answer.why is why
    assert f"127.0.0.1: Get: line one line two ({status.name}), expected " in answer.text


# Answers that are none


async def hang(stream: object) -> None:
    from asyncio import Event

    await Event().wait()


async def silence(stream: Any) -> None:
    """OK, and no message."""
    stream._send_message_done = True  # grpclib's server would not let this happen


OTHER = cosi.GetResponse(resource=cosi.Resource(metadata=cosi.Metadata(type="Hostnames.net.talos.dev")))


@pytest.mark.parametrize(
    ("method", "reply", "seen"),
    [
        ("Hostname", talos.HostnameResponse(), "0 messages instead of one"),
        ("Version", talos.VersionResponse(messages=[talos.Version()] * 2), "2 messages instead of one"),
        ("Hostname", talos.HostnameResponse(messages=[talos.Hostname()]), "no host name"),
        ("Version", talos.VersionResponse(messages=[talos.Version()]), "no version"),
        ("SystemStat", talos.SystemStatResponse(messages=[talos.SystemStat()]), "no boot time"),
        ("Get", OTHER, "resource of type 'Hostnames.net.talos.dev'"),
        ("Get", cosi.GetResponse(), "resource of type ''"),
        ("Get", silence, "OK without a message"),
    ],
)
def test_an_answer_without_its_content_is_broken(lab: Lab, method: str, reply: Reply, seen: str) -> None:
    lab.machine("cp-1", HOME).answers[method] = reply
    text = f"127.0.0.1: {method}: {seen}, expected what the Talos API promises"
    assert asked(lab) == Silent(Silence.BROKEN, text)


def etcd_status(**values: int) -> talos.EtcdStatusResponse:
    return talos.EtcdStatusResponse(messages=[talos.EtcdStatus(member_status=talos.EtcdMemberStatus(**values))])


def etcd_members(*ids: int) -> talos.EtcdMemberListResponse:
    rows = [talos.EtcdMember(id=id, hostname=f"cp-{id}") for id in ids]
    return talos.EtcdMemberListResponse(messages=[talos.EtcdMembers(members=rows)])


@pytest.mark.parametrize(
    ("method", "reply", "seen"),
    [
        ("EtcdStatus", talos.EtcdStatusResponse(), "0 messages instead of one"),
        ("EtcdStatus", etcd_status(leader=1), "no member id"),
        ("EtcdAlarmList", talos.EtcdAlarmListResponse(), "0 messages instead of one"),
        ("EtcdAlarmList", talos.EtcdAlarmListResponse(messages=[talos.EtcdAlarm()] * 2), "2 messages instead of one"),
        ("EtcdMemberList", talos.EtcdMemberListResponse(), "0 messages instead of one"),
        ("EtcdMemberList", etcd_members(), "member ids []"),
        ("EtcdMemberList", etcd_members(0, 7), "member ids [0, 7]"),
        ("EtcdMemberList", etcd_members(7, 8, 7), "member ids [7, 7, 8]"),
    ],
)
def test_a_view_of_etcd_without_its_content_is_broken(lab: Lab, method: str, reply: Reply, seen: str) -> None:
    lab.machine("cp-1", HOME).answers[method] = reply
    found = lab.client().ask([target("cp-1", HOME)])
    assert isinstance(found.machines["uid-cp-1"], Answer)
    text = f"127.0.0.1: {method}: {seen}, expected what the Talos API promises"
    assert found.etcd["uid-cp-1"] == Silent(Silence.BROKEN, text)


# Several addresses


def test_the_next_address_is_tried(lab: Lab) -> None:
    lab.machine("cp-1", "127.0.0.2")
    answer = lab.client().ask([target("cp-1", "127.0.0.1", "127.0.0.2")]).machines["uid-cp-1"]
    assert isinstance(answer, Answer)
    assert answer.address == "127.0.0.2"


def test_answers_of_one_machine_come_over_one_connection(lab: Lab) -> None:
    """A virtual address may move between two questions: what a second connection says is not of the same machine."""

    async def cut(stream: object) -> None:
        stream._stream._transport.abort()  # type: ignore[attr-defined]

    machine = lab.machine("cp-1", HOME)
    machine.answers["Hostname"] = cut
    answer = asked(lab)
    assert answer.why is Silence.UNREACHABLE
    assert [name for name, _ in machine.seen] == ["Hostname"]
