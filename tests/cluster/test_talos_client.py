"""Our client and the real talosctl ask and command the same machines of talos-lab: both see and do the same."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from guards.core.evidence import Answer, Member, Silence, Silent, Target
from guards.parameters import RebootMode
from guards.talos.ports import Refused
from tests.cluster.callers import OPERATOR, Caller, Lab, target
from tests.cluster.credentials import authority, talosconfig
from tests.cluster.management import Management, labs, wait_for
from tests.cluster.remediating import annotate
from tests.talos import pki

pytestmark = pytest.mark.cluster("capi")

NAME = "asked"
LAB = (("talos", NAME),)
"""Not among LABS: too many Talos labs that boot at once starve each other."""
ADMIN, READER, BACKUP = "os:admin", "os:reader", "os:etcd:backup"
HOUR = timedelta(hours=1)
READ_BOOT_ID = ("read", "/proc/sys/kernel/random/boot_id")


@pytest.fixture(scope="module")
def lab(management: Management, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with labs(management, *LAB):
        found = management.list("machines", labels=f"cluster.x-k8s.io/cluster-name={NAME}")
        targets = sorted(map(target, found), key=lambda each: not each.control_plane)
        yield Lab(management, NAME, tmp_path_factory.mktemp("talosconfigs"), tuple(targets))


@pytest.fixture(scope="module")
def operator(lab: Lab) -> Caller:
    return lab.as_(OPERATOR)


# What machines say


def test_both_hear_the_same_of_every_machine(lab: Lab, operator: Caller) -> None:
    found = operator.client().ask(lab.machines)
    assert len(found.machines) == 6
    for machine in lab.machines:
        answer = found.machines[machine.uid]
        assert isinstance(answer, Answer), answer
        told = json.loads(operator.told(machine, "version", "--json"))
        assert told["metadata"]["hostname"] == answer.address == machine.addresses[0]
        assert told["version"]["tag"] == answer.version
        assert answer.hostname == machine.node
        assert answer.boot_time == seconds(lab.notes(machine)["boot-time"])
        assert answer.stage == operator.stage(machine) == "running"


def test_both_see_the_same_etcd(lab: Lab, operator: Caller) -> None:
    for machine in lab.control_plane:
        view = operator.view(machine)
        members = operator.table(machine, "etcd", "members")
        told = [Member(int(row["ID"], 16), row["HOSTNAME"], row["LEARNER"] == "true") for row in members]
        assert view.members == tuple(sorted(told, key=lambda each: each.id))
        assert {each.hostname for each in view.members} == {each.node for each in lab.control_plane}
        (status,) = operator.table(machine, "etcd", "status")
        assert (view.member_id, view.leader) == (int(status["MEMBER"], 16), int(status["LEADER"], 16))
        assert (view.learner, view.errors) == (status["LEARNER"] == "true", ())
        assert next(each.hostname for each in view.members if each.id == view.member_id) == machine.node


def test_both_see_the_same_alarms(lab: Lab, operator: Caller) -> None:
    asked, ill = lab.control_plane[:2]

    def alarms() -> tuple[str, ...]:
        return operator.view(asked).alarms

    assert (alarms(), operator.table(asked, "etcd", "alarm", "list")) == ((), [])
    with lab.marked(ill, etcd="alarm"):
        wait_for("the alarm", alarms, 30)
        (row,) = operator.table(asked, "etcd", "alarm", "list")
        assert alarms() == (f"{row['ALARM']} of member {int(row['MEMBER'], 16):x}",)
        assert alarms() == (f"NOSPACE of member {operator.view(ill).member_id:x}",)
    wait_for("the end of the alarm", lambda: not alarms(), 30)


def test_both_see_a_learner(lab: Lab, operator: Caller) -> None:
    machine = lab.control_plane[2]
    with lab.marked(machine, etcd="learner"):
        wait_for("the learner", lambda: operator.view(machine).learner, 30)
        (status,) = operator.table(machine, "etcd", "status")
        assert status["LEARNER"] == "true"
        rows = operator.table(lab.control_plane[0], "etcd", "members")
        learners = [each.hostname for each in operator.view(lab.control_plane[0]).members if each.learner]
        assert learners == [row["HOSTNAME"] for row in rows if row["LEARNER"] == "true"] == [machine.node]


def test_a_worker_has_no_etcd(lab: Lab, operator: Caller) -> None:
    operator.fails(lab.worker, "etcd", "status", told="etcd is only available on control plane nodes")
    as_control_plane = Target("uid", lab.worker.name, lab.worker.node, lab.worker.addresses, control_plane=True)
    found = operator.client().ask([as_control_plane]).etcd["uid"]
    assert isinstance(found, Silent)
    assert (found.why, "UNIMPLEMENTED" in found.text) == (Silence.BROKEN, True)


# A reboot


@pytest.mark.parametrize("mode", list(RebootMode))
def test_both_reboot_in_the_same_mode(lab: Lab, operator: Caller, mode: RebootMode) -> None:
    admin = lab.as_(ADMIN)
    ours, theirs = lab.machines[4:]
    with lab.marked(ours, **{"reboot-seconds": "1"}), lab.marked(theirs, **{"reboot-seconds": "1"}):
        before, answer = [lab.notes(each) for each in (ours, theirs)], operator.itself(ours)
        operator.client().reboot(answer, mode)
        operator.told(theirs, "reboot", "--mode", mode, "--wait=false")
        boots = []
        for machine, was in zip((ours, theirs), before, strict=True):
            now = back(lab, operator, machine, was["boot-id"])
            boots.append(now["boot-time"])
            assert (now["reboot-mode"], int(now["reboots"])) == (mode.upper(), int(was["reboots"]) + 1)
            assert operator.itself(machine).boot_time == seconds(now["boot-time"])
            assert admin.told(machine, *READ_BOOT_ID).strip() == now["boot-id"]
        again = operator.itself(ours)
        assert again.boot_time > answer.boot_time
        seen = f"{ours.node}, booted at {again.boot_time}, answers here now, expected {ours.node}, booted at "
        with pytest.raises(Refused, match=f"{seen}{answer.boot_time}"):
            operator.client().reboot(answer, mode)
        assert lab.notes(ours)["boot-time"] == boots[0], "that boot was meant, not this one"


def back(lab: Lab, caller: Caller, machine: Target, boot: str) -> dict[str, str]:
    """What talos-lab notes on the machine once its boot is another one, and it answers."""
    wait_for(f"another boot of {machine.name}", lambda: lab.notes(machine)["boot-id"] != boot)
    wait_for(f"{machine.name} to answer", lambda: isinstance(caller.answer(machine), Answer), 30)
    return lab.notes(machine)


def seconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()


def test_a_boot_that_does_not_end_is_booting(lab: Lab, operator: Caller) -> None:
    with lab.marked(lab.worker, boot="stuck", **{"reboot-seconds": "1"}):
        boot = lab.notes(lab.worker)["boot-id"]
        operator.client().reboot(operator.itself(lab.worker), RebootMode.POWERCYCLE)
        back(lab, operator, lab.worker, boot)
        assert operator.itself(lab.worker).stage == "booting"
    wait_for("the end of the boot", lambda: operator.itself(lab.worker).stage == "running", 30)


# Who is silent, and why


def test_apid_that_is_down_is_unreachable(lab: Lab, operator: Caller) -> None:
    answer = operator.itself(lab.worker)
    with lab.marked(lab.worker, apid="down"):
        operator.is_silent(lab.worker, Silence.UNREACHABLE, ": connect: Connection refused, expected an answer")
        operator.fails(lab.worker, "version", told="connection refused")
        with pytest.raises(Refused, match="Connection refused"):
            operator.client().reboot(answer, RebootMode.POWERCYCLE)


def test_apid_that_is_slow_is_waited_for_only_so_long(lab: Lab, operator: Caller) -> None:
    with lab.marked(lab.worker, apid="slow=10s"):
        told = ": Hostname: no whole answer within 4 s, expected an answer of the Talos API"
        wait_for("no answer in time", lambda: told in str(operator.answer(lab.worker)), 30)
        annotate(lab.management, lab.worker.name, apid="slow=500ms")
        wait_for("an answer that takes its time", lambda: isinstance(operator.answer(lab.worker), Answer), 30)


def test_maintenance_mode_is_recognised(lab: Lab, operator: Caller) -> None:
    answer = operator.itself(lab.worker)
    with lab.marked(lab.worker, apid="maintenance"):
        told = ": TLS handshake: maintenance mode: it has a certificate of its own and asks for none"
        operator.is_silent(lab.worker, Silence.UNKNOWN_AUTHORITY, told)
        operator.fails(lab.worker, "version", told="certificate signed by unknown authority")
        with pytest.raises(Refused, match=r"not rebooted: .*: TLS handshake: its certificate: "):
            operator.client().reboot(answer, RebootMode.POWERCYCLE)


# Who may do what


def test_a_reader_may_ask_and_not_reboot(lab: Lab) -> None:
    reader = lab.as_(READER)
    answer = reader.itself(lab.worker)
    assert len(reader.view(lab.control_plane[0]).members) == 3
    with pytest.raises(Refused, match=r"not rebooted: .*: Reboot: not authorized \(PERMISSION_DENIED\)"):
        reader.client().reboot(answer, RebootMode.POWERCYCLE)
    reader.fails(lab.worker, "reboot", "--wait=false", told="not authorized")
    assert reader.itself(lab.worker) == answer, "the same boot, and still in stage running"


def test_an_operator_may_not_read_the_boot_id(lab: Lab, operator: Caller) -> None:
    """Why boots are told apart by their time: talosctl's own proof needs os:admin."""
    operator.fails(lab.worker, *READ_BOOT_ID, told="not authorized")
    admin = lab.as_(ADMIN)
    assert admin.told(lab.worker, *READ_BOOT_ID).strip() == lab.notes(lab.worker)["boot-id"]
    assert admin.itself(lab.worker) == operator.itself(lab.worker)


def test_another_role_is_denied(lab: Lab) -> None:
    backup = lab.as_(BACKUP)
    backup.is_silent(lab.worker, Silence.DENIED, "Hostname: not authorized (PERMISSION_DENIED)")
    backup.fails(lab.worker, "version", told="not authorized")


def test_a_certificate_that_has_expired_is_not_used(lab: Lab) -> None:
    late = lab.caller(talosconfig(lab.management, NAME, lifetime=-HOUR))
    late.is_silent(lab.worker, Silence.NOT_ASKED, "its client certificate is valid from")


def test_the_machine_says_that_our_certificate_has_expired(lab: Lab) -> None:
    """Where our own clock does not know."""
    late = lab.caller(talosconfig(lab.management, NAME, lifetime=-HOUR))
    found = late.client(behind=2 * HOUR).ask([lab.worker]).machines[lab.worker.uid]
    assert isinstance(found, Silent)
    assert found.why is Silence.DENIED
    assert "our client certificate is refused: by the machine's clock it is not valid now" in found.text


def test_the_credential_of_another_cluster_is_told(lab: Lab) -> None:
    other = lab.caller(pki.talosconfig(pki.Authority(), OPERATOR))
    told = "a machine of another cluster, or our talosconfig is another cluster's"
    other.is_silent(lab.worker, Silence.STRANGER, told)
    other.fails(lab.worker, "version", told="certificate signed by unknown authority")


def test_a_client_certificate_of_another_cluster_is_told(lab: Lab) -> None:
    """The right authority in the talosconfig, but not the one that issued its certificate."""
    stolen = pki.Authority().client([OPERATOR])
    mixed = lab.caller(pki.talosconfig(authority(lab.management, NAME), client=stolen))
    told = "our client certificate is refused: it was not issued by this cluster's Talos authority"
    mixed.is_silent(lab.worker, Silence.DENIED, told)
