"""One reboot is one request: refused for certain, done, or nobody knows."""

import socket
import threading

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from guards.core.evidence import Answer
from guards.parameters import RebootMode
from guards.talos import talos_pb2 as talos
from guards.talos.ports import Refused, Unproven
from tests.talos.apid import Apid, context
from tests.talos.conftest import PATIENT, QUICK, Lab
from tests.talos.pki import Authority, talosconfig
from tests.talos.test_silence import hang, silence
from tests.talos.test_strangers import refusing

HOME = "127.0.0.1"
ITSELF = Answer(HOME, "cp-1", "v1.13.9", 1_800_000_000, "running")
ASKED = ["Hostname", "SystemStat", "Reboot"]
"""Who it is, and then the one request, all over one connection."""


@pytest.mark.parametrize("mode", list(RebootMode))
def test_a_reboot_is_sent_once_in_the_wanted_mode(lab: Lab, mode: RebootMode) -> None:
    machine = lab.machine("cp-1", HOME)
    lab.client().reboot(ITSELF, mode)
    assert [name for name, _ in machine.seen] == ASKED
    assert machine.seen[-1][1] == talos.RebootRequest(mode=mode.name)


# Nothing was done


def test_a_closed_port_is_refused(lab: Lab) -> None:
    with pytest.raises(Refused, match=r"not rebooted: 127\.0\.0\.1: connect: Connection refused"):
        lab.client().reboot(ITSELF, RebootMode.POWERCYCLE)


def test_another_authority_is_refused(lab: Lab) -> None:
    other, machine = Authority(), Apid("cp-1")
    lab.machines.serve(machine, HOME, context(other.machine(HOME), None))
    with pytest.raises(Refused, match="maintenance mode or another cluster's machine"):
        lab.client().reboot(ITSELF, RebootMode.POWERCYCLE)
    assert machine.seen == []


def test_a_socket_that_says_nothing_is_refused(lab: Lab) -> None:
    lab.machines.misbehave(HOME, lambda _, over: over.wait() and None)
    with pytest.raises(Refused, match=r"no whole answer within 0\.3 s"):
        lab.client(QUICK).reboot(ITSELF, RebootMode.POWERCYCLE)


def test_a_role_that_may_not_reboot_is_refused(lab: Lab) -> None:
    machine = lab.machine("cp-1", HOME)
    lab.file.write_text(talosconfig(lab.authority, "os:reader"))
    with pytest.raises(Refused, match=r"not rebooted: 127.0.0.1: Reboot: not authorized \(PERMISSION_DENIED\)"):
        lab.client().reboot(ITSELF, RebootMode.POWERCYCLE)
    assert [name for name, _ in machine.seen] == ASKED


@pytest.mark.parametrize("status", [Status.UNAUTHENTICATED, Status.UNIMPLEMENTED, Status.FAILED_PRECONDITION])
def test_a_no_is_refused(lab: Lab, status: Status) -> None:
    machine = lab.machine("cp-1", HOME)
    machine.answers["Reboot"] = GRPCError(status, "no")
    with pytest.raises(Refused, match=status.name):
        lab.client().reboot(ITSELF, RebootMode.POWERCYCLE)
    assert [name for name, _ in machine.seen] == ASKED


def test_a_client_certificate_that_tls_refuses_is_refused(lab: Lab) -> None:
    lab.file.write_text(talosconfig(lab.authority, client=Authority().client(["os:operator"])))
    tls = context(lab.authority.machine(HOME), lab.authority)
    lab.machines.misbehave(HOME, lambda plain, _: refusing(plain, tls))
    with pytest.raises(Refused, match="our client certificate is refused"):
        lab.client().reboot(ITSELF, RebootMode.POWERCYCLE)


def test_without_a_credential_it_is_refused(lab: Lab) -> None:
    machine = lab.machine("cp-1", HOME)
    lab.file.unlink()
    with pytest.raises(Refused, match=r"not rebooted: .*no such file"):
        lab.client().reboot(ITSELF, RebootMode.POWERCYCLE)
    assert machine.seen == []


@pytest.mark.parametrize(
    ("hostname", "boot_time", "seen"),
    [
        ("cp-2", 1_800_000_000, "cp-2, booted at 1800000000, answers here now, expected cp-1, booted at 1800000000"),
        ("cp-1", 1_800_000_900, "cp-1, booted at 1800000900, answers here now, expected cp-1, booted at 1800000000"),
    ],
    ids=["cp-2", "rebooted"],
)
def test_only_the_machine_and_the_boot_that_answered_is_rebooted(
    lab: Lab, hostname: str, boot_time: int, seen: str
) -> None:
    """A virtual address has moved on, or the machine has just rebooted by itself."""
    machine = lab.machine(hostname, HOME)
    machine.answers["SystemStat"] = talos.SystemStatResponse(messages=[talos.SystemStat(boot_time=boot_time)])
    with pytest.raises(Refused, match=f"not rebooted: {HOME}: {seen}"):
        lab.client().reboot(ITSELF, RebootMode.POWERCYCLE)
    assert [name for name, _ in machine.seen] == ASKED[:2]


def test_a_machine_that_does_not_say_who_it_is_is_refused(lab: Lab) -> None:
    machine = lab.machine("cp-1", HOME)
    machine.answers["Hostname"] = GRPCError(Status.UNAVAILABLE, "machined is gone")
    with pytest.raises(Refused, match=r"not rebooted: 127\.0\.0\.1: Hostname: machined is gone"):
        lab.client().reboot(ITSELF, RebootMode.POWERCYCLE)
    assert [name for name, _ in machine.seen] == ASKED[:1]


# Nobody knows


async def cut(stream: object) -> None:
    """The machine goes down with the answer still on its way."""
    stream._stream._transport.abort()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (cut, "Reboot: Connection lost"),
        (hang, "Reboot: no whole answer within 0.9 s"),
        (silence, "Reboot: OK without a message"),
        (GRPCError(Status.UNAVAILABLE, "error reading from server: EOF"), r"EOF \(UNAVAILABLE\)"),
        (GRPCError(Status.INTERNAL, "x"), r"x \(INTERNAL\)"),
    ],
)
def test_an_answer_that_is_lost_leaves_it_unproven_and_is_not_asked_for_again(
    lab: Lab, answer: object, seen: str
) -> None:
    machine = lab.machine("cp-1", HOME)
    machine.answers["Reboot"] = answer  # type: ignore[assignment]
    with pytest.raises(Unproven, match=f"whether it reboots is unknown: 127.0.0.1: {seen}" if answer is cut else seen):
        lab.client(QUICK if answer is hang else PATIENT).reboot(ITSELF, RebootMode.POWERCYCLE)
    assert [name for name, _ in machine.seen] == ASKED, "one request, ever"


def test_a_machine_that_dies_before_it_greets_is_refused(lab: Lab) -> None:
    """The handshake alone proves nothing: the request waits for the greeting."""
    heard = []

    def die(plain: socket.socket, over: threading.Event) -> None:
        with tls.wrap_socket(plain, server_side=True) as connection:
            heard.append(connection)

    tls = context(lab.authority.machine(HOME), lab.authority)
    lab.machines.misbehave(HOME, die)
    with pytest.raises(Refused, match="HTTP/2 greeting: the connection ended"):
        lab.client().reboot(ITSELF, RebootMode.POWERCYCLE)
    assert len(heard) == 1, "nobody comes back"


def test_after_a_signal_nothing_is_rebooted(lab: Lab) -> None:
    machine = lab.machine("cp-1", HOME)
    client = lab.client()
    client._stop.set()
    with pytest.raises(Refused, match="told to stop"):
        client.reboot(ITSELF, RebootMode.POWERCYCLE)
    assert machine.seen == []
