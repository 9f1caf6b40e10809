"""A round of questions to healthy machines, and which machine an address belongs to."""

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from guards.core.evidence import Answer, EtcdView, Member, Silence, Silent
from guards.talos import talos_pb2 as talos
from guards.talos.rounds import same_host
from tests.talos.apid import machine_status
from tests.talos.conftest import Lab, target
from tests.talos.pki import NOW, talosconfig

MEMBERS = (Member(0xC1, "cp-1", False), Member(0xC2, "cp-2", False), Member(0xC3, "cp-3", False))


def test_machines_tell_who_they_are_and_control_planes_their_etcd(lab: Lab) -> None:
    lab.machine("cp-1", "127.0.0.1")
    lab.machine("cp-2", "127.0.0.2", member=0xC2)
    worker = lab.machine("worker-1", "127.0.0.3")
    wanted = [target("cp-1", "127.0.0.1"), target("cp-2", "127.0.0.2")]
    found = lab.client().ask([*wanted, target("worker-1", "127.0.0.3", control_plane=False)])
    assert found.begun_at == NOW
    assert found.machines == {
        "uid-cp-1": Answer("127.0.0.1", "cp-1", "v1.13.9", 1_800_000_000, "running"),
        "uid-cp-2": Answer("127.0.0.2", "cp-2", "v1.13.9", 1_800_000_000, "running"),
        "uid-worker-1": Answer("127.0.0.3", "worker-1", "v1.13.9", 1_800_000_000, "running"),
    }
    assert found.etcd == {
        "uid-cp-1": EtcdView(0xC1, 0xC1, False, (), (), MEMBERS),
        "uid-cp-2": EtcdView(0xC2, 0xC1, False, (), (), MEMBERS),
    }
    assert [name for name, _ in worker.seen] == ["Hostname", "Version", "SystemStat", "Get"], "no etcd on a worker"


def test_each_member_is_asked_for_its_own_list(lab: Lab) -> None:
    machine = lab.machine("cp-1", "127.0.0.1")
    lab.client().ask([target("cp-1", "127.0.0.1")])
    assert [request.query_local for name, request in machine.seen if name == "EtcdMemberList"] == [True]


def test_what_etcd_reports_about_itself_is_taken_over(lab: Lab) -> None:
    machine = lab.machine("cp-1", "127.0.0.1")
    status = talos.EtcdMemberStatus(member_id=0xC1, leader=0, is_learner=True, errors=["etcdserver: no leader"])
    alarms = [talos.EtcdMemberAlarm(member_id=0xC2, alarm=alarm) for alarm in ("NOSPACE", "CORRUPT", "NONE")]
    rows = [talos.EtcdMember(id=0xC2, is_learner=True), talos.EtcdMember(id=0xC1, hostname="cp-1")]
    machine.answers |= {
        "EtcdStatus": talos.EtcdStatusResponse(messages=[talos.EtcdStatus(member_status=status)]),
        "EtcdAlarmList": talos.EtcdAlarmListResponse(messages=[talos.EtcdAlarm(member_alarms=alarms)]),
        "EtcdMemberList": talos.EtcdMemberListResponse(messages=[talos.EtcdMembers(members=rows)]),
    }
    view = lab.client().ask([target("cp-1", "127.0.0.1")]).etcd["uid-cp-1"]
    told = ("NOSPACE of member c2", "CORRUPT of member c2", "NONE of member c2")
    members = (Member(0xC1, "cp-1", False), Member(0xC2, "", True))
    assert view == EtcdView(0xC1, 0, True, ("etcdserver: no leader",), told, members)


STAGES = "unknown booting installing maintenance running rebooting shutting-down resetting upgrading unknown"


@pytest.mark.parametrize(("number", "stage"), list(enumerate(STAGES.split())))
def test_stages_have_talos_own_names(lab: Lab, number: int, stage: str) -> None:
    lab.machine("worker-1", "127.0.0.1").answers["Get"] = machine_status(number)
    answer = lab.client().ask([target("worker-1", "127.0.0.1", control_plane=False)]).machines["uid-worker-1"]
    assert isinstance(answer, Answer)
    assert answer.stage == stage.replace("-", " ")


def test_etcd_may_fail_while_the_machine_answers(lab: Lab) -> None:
    lab.machine("cp-1", "127.0.0.1").answers["EtcdMemberList"] = GRPCError(Status.UNAVAILABLE, "etcdserver: no leader")
    found = lab.client().ask([target("cp-1", "127.0.0.1")])
    assert isinstance(found.machines["uid-cp-1"], Answer)
    text = "127.0.0.1: EtcdMemberList: etcdserver: no leader (UNAVAILABLE), expected an answer of the Talos API"
    assert found.etcd["uid-cp-1"] == Silent(Silence.UNREACHABLE, text)


# Which machine is behind an address


def test_an_address_that_another_machine_answers_is_passed_over(lab: Lab) -> None:
    holder = lab.machine("cp-2", "127.0.0.2", "127.0.0.9", member=0xC2)  # .9 is virtual, and cp-2 has it now
    lab.machine("cp-1", "127.0.0.1")
    found = lab.client().ask([target("cp-1", "127.0.0.9", "127.0.0.1"), target("cp-2", "127.0.0.9")])
    assert {uid: (m.hostname, m.address) for uid, m in found.machines.items() if isinstance(m, Answer)} == {
        "uid-cp-1": ("cp-1", "127.0.0.1"),
        "uid-cp-2": ("cp-2", "127.0.0.9"),
    }
    assert {uid: view.member_id for uid, view in found.etcd.items() if isinstance(view, EtcdView)} == {
        "uid-cp-1": 0xC1,
        "uid-cp-2": 0xC2,
    }
    assert [name for name, _ in holder.seen].count("EtcdStatus") == 1, "a stranger is not asked about etcd"


def test_a_stranger_at_every_address_is_told_and_its_etcd_is_not_taken(lab: Lab) -> None:
    lab.machine("cp-2", "127.0.0.2", "127.0.0.9", member=0xC2)
    found = lab.client().ask([target("cp-1", "127.0.0.9", "127.0.0.2")])
    answer = found.machines["uid-cp-1"]
    assert isinstance(answer, Answer)
    assert (answer.address, answer.hostname) == ("127.0.0.9", "cp-2")
    text = "127.0.0.9: cp-2 answers here, expected cp-1"
    assert found.etcd["uid-cp-1"] == Silent(Silence.BROKEN, text)


def test_a_stranger_does_not_hide_that_the_machine_is_silent(lab: Lab) -> None:
    lab.machine("cp-2", "127.0.0.9", member=0xC2)
    found = lab.client().ask([target("cp-1", "127.0.0.9", "127.0.0.1")])
    for answer in (found.machines["uid-cp-1"], found.etcd["uid-cp-1"]):
        assert isinstance(answer, Silent)
        assert answer.why is Silence.UNREACHABLE
        assert answer.text.startswith("127.0.0.1: connect: ")


def test_a_machine_without_node_is_whoever_is_no_other_node(lab: Lab) -> None:
    lab.machine("cp-2", "127.0.0.9", member=0xC2)
    lab.machine("cp-3", "127.0.0.3", member=0xC3)
    found = lab.client().ask([target("", "127.0.0.9", "127.0.0.3"), target("cp-2", "127.0.0.9")])
    answer, view = found.machines["uid-"], found.etcd["uid-"]
    assert isinstance(answer, Answer)
    assert isinstance(view, EtcdView)
    assert (answer.hostname, view.member_id) == ("cp-3", 0xC3)


@pytest.mark.parametrize(
    ("hostname", "node", "same"),
    [
        ("cp-1", "cp-1", True),
        ("CP-1", "cp-1", True),
        ("cp-1", "cp-1.home.lan", True),
        ("cp-1.home.lan", "cp-1", True),
        ("cp-1", "cp-10", False),
        ("cp-1", "cp-10.home.lan", False),
        ("cp-1.home.lan", "cp-1.other.lan", False),
    ],
)
def test_host_names_are_compared_as_people_mean_them(hostname: str, node: str, same: bool) -> None:
    assert same_host(hostname, node) is same


# Whether there is anything to ask


@pytest.mark.parametrize(("addresses", "seen"), [((), "none"), (("cp-1.home.lan",), "cp-1.home.lan")])
def test_without_an_ip_address_nothing_is_asked(lab: Lab, addresses: tuple[str, ...], seen: str) -> None:
    found = lab.client().ask([target("cp-1", *addresses)])
    silent = Silent(Silence.NOT_ASKED, f"machine-cp-1: addresses {seen}; expected an IP address")
    assert found.machines == found.etcd == {"uid-cp-1": silent}


def test_without_a_credential_nobody_is_asked(lab: Lab) -> None:
    machine = lab.machine("cp-1", "127.0.0.1")
    lab.file.unlink()
    found = lab.client().ask([target("cp-1", "127.0.0.1"), target("w", "127.0.0.1", control_plane=False)])
    assert {answer.why for answer in found.machines.values() if isinstance(answer, Silent)} == {Silence.NOT_ASKED}
    assert (len(found.machines), list(found.etcd)) == (2, ["uid-cp-1"])
    assert "no such file" in str(found.machines["uid-cp-1"])
    assert machine.seen == []


def test_nobody_to_ask_is_an_empty_round(lab: Lab) -> None:
    found = lab.client().ask([])
    assert (found.machines, found.etcd, found.begun_at) == ({}, {}, NOW)


def test_the_credential_is_read_afresh_for_every_call(lab: Lab) -> None:
    lab.machine("worker-1", "127.0.0.1")
    client, worker = lab.client(), target("worker-1", "127.0.0.1", control_plane=False)
    lab.file.write_text(talosconfig(lab.authority, "os:etcd:backup"))
    before = client.ask([worker]).machines["uid-worker-1"]
    lab.file.write_text(talosconfig(lab.authority, "os:reader"))
    after = client.ask([worker]).machines["uid-worker-1"]
    assert isinstance(before, Silent)
    assert before.why is Silence.DENIED
    assert isinstance(after, Answer)
