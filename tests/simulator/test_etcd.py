"""The true etcd: who is a member when, what a loss of members costs, and what its members say about it."""

from collections.abc import Callable

import pytest

from guards.core.evidence import EtcdView, Member, Silence, Silent
from guards.kube.access import TALOS_CONTROL_PLANE
from guards.simulator import LAB, SimulatedTalos, Simulation, etcd_faults, faults
from guards.simulator.timing import NEVER
from tests.simulator.conftest import NAMESPACE, Recording, run_until_rolled
from tests.simulator.machines import delete, reboot, target, view

CP = "homelab-cp"


def lab(control_planes: int = 3) -> tuple[Simulation, SimulatedTalos]:
    simulation = Simulation(timings=LAB, remediator=True, control_planes=control_planes)
    return simulation, SimulatedTalos(simulation)


def names(simulation: Simulation) -> list[str]:
    """Machine numbers of the members, learners with an L."""
    return [m.machine.name.removeprefix(f"{CP}-") + "L" * m.learner for m in simulation.etcd.members]


def seen(simulation: Simulation, talos: SimulatedTalos, number: int) -> EtcdView:
    found = view(talos, target(simulation, f"{CP}-{number}"))
    assert isinstance(found, EtcdView), found
    return found


def provider_sees_health(simulation: Simulation) -> bool:
    conditions = simulation.get(TALOS_CONTROL_PLANE, NAMESPACE, CP)["status"]["conditions"]
    return any(c["type"] == "EtcdClusterHealthyCondition" and c["status"] == "True" for c in conditions)


def changes(simulation: Simulation) -> list[list[str]]:
    """The member lists from now on, each change once."""
    found = [names(simulation)]
    simulation.each_event.append(lambda: None if found[-1] == names(simulation) else found.append(names(simulation)))
    return found


# The members' own views


def test_all_members_tell_the_same_story() -> None:
    simulation, talos = lab(7)
    views = [seen(simulation, talos, number) for number in range(1, 8)]
    members = views[0].members
    assert sorted(m.hostname for m in members) == [f"{CP}-{n}" for n in range(1, 8)]
    assert list(members) == sorted(members, key=lambda m: m.id)
    assert {v.member_id for v in views} == {m.id for m in members}
    assert len({v.leader for v in views}) == 1
    assert views[0].leader in {m.id for m in members}
    assert all(v.members == members and not v.learner and not v.errors and not v.alarms for v in views)


def test_the_leader_moves_when_its_machine_dies() -> None:
    simulation, talos = lab()
    first = seen(simulation, talos, 2).leader
    dead = next(m.machine.name for m in simulation.etcd.members if m.id == first)
    faults.power_loss(simulation, dead)
    second = seen(simulation, talos, 2).leader
    assert second not in (0, first)
    faults.power_loss(simulation, f"{CP}-3")
    assert seen(simulation, talos, 2).leader == 0, "one of three elects nobody"


def test_what_a_single_view_may_show() -> None:
    simulation, talos = lab()
    etcd_faults.raise_alarm(simulation, f"{CP}-1")
    assert [seen(simulation, talos, n).alarms for n in (1, 2)] == [
        (f"NOSPACE of member {members_id(simulation, 1):x}",)
    ] * 2
    etcd_faults.report_errors(simulation, f"{CP}-1", "corrupt")
    assert (seen(simulation, talos, 1).errors, seen(simulation, talos, 2).errors) == (("corrupt",), ())
    etcd_faults.leaderless(simulation, f"{CP}-1")
    assert seen(simulation, talos, 1).leader == 0 != seen(simulation, talos, 2).leader
    etcd_faults.differ(simulation, f"{CP}-1", unlisted=f"{CP}-3")
    assert (len(seen(simulation, talos, 1).members), len(seen(simulation, talos, 2).members)) == (2, 3)
    etcd_faults.unstart(simulation, f"{CP}-3")
    assert Member(members_id(simulation, 3), "", learner=False) in seen(simulation, talos, 2).members
    assert not simulation.etcd_quorum_lost


def members_id(simulation: Simulation, number: int) -> int:
    return next(m.id for m in simulation.etcd.members if m.machine.name == f"{CP}-{number}")


@pytest.mark.parametrize("ill", [etcd_faults.stop_etcd, etcd_faults.leave_etcd])
def test_a_machine_whose_etcd_does_not_run_is_silent_about_it_alone(ill: Callable[[Simulation, str], None]) -> None:
    simulation, talos = lab()
    ill(simulation, f"{CP}-2")
    asked = target(simulation, f"{CP}-2")
    found = view(talos, asked)
    assert isinstance(found, Silent)
    assert found.why is Silence.UNREACHABLE
    assert not isinstance(talos.ask([asked]).machines[asked.uid], Silent)
    simulation.advance(5)
    assert not provider_sees_health(simulation)


# Quorum


@pytest.mark.parametrize(("voters", "spare"), [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (7, 3)])
def test_so_many_members_may_die(voters: int, spare: int) -> None:
    simulation, _ = lab(voters)
    for number in range(1, spare + 1):
        faults.power_loss(simulation, f"{CP}-{number}")
    simulation.advance(300)
    assert not simulation.etcd_quorum_lost
    faults.power_loss(simulation, f"{CP}-{spare + 1}")
    assert simulation.etcd_quorum_lost


def test_a_loss_is_remembered() -> None:
    simulation, _ = lab()
    simulation.at(10, lambda: [faults.power_loss(simulation, f"{CP}-{n}") for n in (1, 2)])
    simulation.at(20, lambda: [faults.recover(simulation, f"{CP}-{n}") for n in (1, 2)])
    simulation.advance(9)
    assert not simulation.etcd_quorum_lost
    simulation.advance(60)
    assert simulation.etcd.has_quorum
    assert simulation.etcd_quorum_lost
    assert simulation.etcd.loss is not None
    assert (simulation.etcd.loss.at - simulation.engine.start).total_seconds() == 10
    assert not simulation.etcd_lost_by(), "nobody touched it through the doors"


def test_a_learner_does_not_vote() -> None:
    simulation, talos = lab()
    etcd_faults.demote(simulation, f"{CP}-3")
    assert seen(simulation, talos, 3).learner
    faults.power_loss(simulation, f"{CP}-2")
    assert simulation.etcd_quorum_lost, "one of two voters"


def test_a_reboot_beside_a_dead_member_costs_the_quorum_and_is_to_blame() -> None:
    simulation, talos = lab()
    faults.power_loss(simulation, f"{CP}-1")
    reboot(simulation, talos, f"{CP}-2")
    assert simulation.etcd_quorum_lost
    assert simulation.etcd_lost_by()
    assert simulation.etcd_lost_by(target(simulation, f"{CP}-2").uid)
    assert not simulation.etcd_lost_by(target(simulation, f"{CP}-3").uid)


def test_a_reboot_that_is_over_or_took_nothing_is_not_to_blame() -> None:
    simulation, talos = lab()
    reboot(simulation, talos, f"{CP}-2")
    simulation.advance(60)
    etcd_faults.stop_etcd(simulation, f"{CP}-3")
    simulation.plan(f"{CP}-3", reboot=NEVER)
    reboot(simulation, talos, f"{CP}-3")
    assert not simulation.etcd_quorum_lost
    faults.power_loss(simulation, f"{CP}-2")
    assert simulation.etcd_quorum_lost
    assert not simulation.etcd_lost_by(), "2 came back and died by itself, 3 had no etcd to take away"


def test_a_delete_is_to_blame_even_after_the_audit() -> None:
    simulation, _ = lab()
    simulation.plan(f"{CP}-4", boot=NEVER)
    delete(simulation, f"{CP}-1")
    simulation.advance(60)
    assert names(simulation) == ["2", "3"]
    faults.power_loss(simulation, f"{CP}-2")
    assert simulation.etcd_quorum_lost
    assert simulation.etcd_lost_by(*simulation.deletes_by_api)


def test_a_delete_is_not_to_blame_for_a_loss_that_it_does_not_explain() -> None:
    simulation, _ = lab(4)
    simulation.plan(f"{CP}-5", boot=NEVER)
    delete(simulation, f"{CP}-1")
    simulation.advance(60)
    for number in (2, 3):
        faults.power_loss(simulation, f"{CP}-{number}")
    assert simulation.etcd_quorum_lost, "one of three"
    assert not simulation.etcd_lost_by(), "two of four would not have been enough either"


# Membership


def test_the_provider_rolls_by_graceful_leaves() -> None:
    simulation, _ = lab()
    lists = changes(simulation)
    simulation.change(CP, config="2")
    run_until_rolled(simulation, CP)
    first = [["1", "2", "3"], ["2", "3"], ["2", "3", "4L"], ["2", "3", "4"], ["3", "4"], ["3", "4", "5L"]]
    assert lists == [*first, ["3", "4", "5"], ["4", "5"], ["4", "5", "6L"], ["4", "5", "6"]]
    assert not simulation.etcd_quorum_lost


def test_the_provider_takes_the_member_before_the_machine() -> None:
    simulation, _ = lab()
    simulation.change(CP, config="2")
    simulation.advance(60, lambda: any(m.deleted for m in simulation.machines()))
    first = simulation.machine(f"{CP}-1")
    assert first is not None
    assert (names(simulation), first.powered) == (["2", "3"], True)


def test_a_learner_votes_only_once_a_quorum_says_so() -> None:
    simulation, _ = lab()
    simulation.plan(f"{CP}-4", settle=50)
    simulation.change(CP, config="2")
    simulation.advance(60, lambda: names(simulation) == ["2", "3", "4L"])
    faults.power_loss(simulation, f"{CP}-2")
    simulation.advance(100)
    assert names(simulation) == ["2", "3", "4L"]
    faults.recover(simulation, f"{CP}-2")
    simulation.advance(15, lambda: "4" in names(simulation))
    assert names(simulation) == ["2", "3", "4"], "tried again"


def test_a_deleted_machine_leaves_a_stale_member_until_the_audit() -> None:
    simulation, talos = lab()
    recording, lists = Recording(simulation, CP), changes(simulation)
    simulation.plan(f"{CP}-2", shutdown=100)
    delete(simulation, f"{CP}-2")
    simulation.advance(50)
    assert names(simulation) == ["1", "2", "3"], "no graceful leave"
    assert len(seen(simulation, talos, 1).members) == 3
    assert not provider_sees_health(simulation)
    assert [m.name for m in simulation.machines(simulation.control_plane)] == [f"{CP}-{n}" for n in (1, 2, 3)]
    simulation.advance(200)
    assert lists == [["1", "2", "3"], ["1", "3"], ["1", "3", "4L"], ["1", "3", "4"]]
    assert provider_sees_health(simulation)
    assert (recording.down, recording.counts[-1]) == (1, (0, 0, 3))


def test_the_audit_waits_until_every_machine_has_a_node() -> None:
    """Machine 4 is still to come when 2 goes: its stale member stays, and 4 cannot join beside it."""
    simulation, _ = lab()
    simulation.plan(f"{CP}-4", boot=100)
    simulation.change(CP, config="2")
    simulation.advance(60, lambda: simulation.machine(f"{CP}-4") is not None)
    delete(simulation, f"{CP}-2")
    simulation.advance(60, lambda: simulation.machine(f"{CP}-2") is None)
    assert simulation.machine(f"{CP}-2") is None
    simulation.advance(50)
    assert names(simulation) == ["2", "3"], "1 left gracefully, 2 is stale"
    assert simulation.etcd_quorum_lost
    assert simulation.etcd_lost_by()


def test_with_five_members_the_audit_comes_late_and_all_ends_well() -> None:
    simulation, _ = lab(5)
    simulation.plan(f"{CP}-6", boot=100)
    simulation.change(CP, config="2")
    simulation.advance(60, lambda: simulation.machine(f"{CP}-6") is not None)
    delete(simulation, f"{CP}-2")
    simulation.advance(90)
    assert names(simulation) == ["2", "3", "4", "5"], "6 has no Node: no audit, and nobody joins beside a dead voter"
    run_until_rolled(simulation, CP)
    assert names(simulation) == ["6", "7", "8", "9", "10"]
    assert not simulation.etcd_quorum_lost


def test_a_member_that_left_blocks_the_roll_until_its_machine_reboots() -> None:
    """CACPPT #237 and #262: EtcdClusterHealthyCondition is False because of it, and the provider never goes on."""
    simulation, talos = lab()
    etcd_faults.leave_etcd(simulation, f"{CP}-1")
    simulation.change(CP, config="2")
    simulation.advance(3600)
    assert not any(m.deleted for m in simulation.machines())
    assert names(simulation) == ["2", "3"]
    reboot(simulation, talos, f"{CP}-1")
    simulation.advance(10)
    run_until_rolled(simulation, CP)
    assert not simulation.etcd_quorum_lost


def test_a_member_that_left_blocks_the_roll_until_its_machine_is_deleted() -> None:
    simulation, _ = lab()
    etcd_faults.leave_etcd(simulation, f"{CP}-1")
    simulation.change(CP, config="2")
    simulation.advance(600)
    delete(simulation, f"{CP}-1")
    run_until_rolled(simulation, CP)
    assert not simulation.etcd_quorum_lost


@pytest.mark.parametrize("ill", [etcd_faults.stop_etcd, etcd_faults.demote])
def test_a_reboot_starts_etcd_again(ill: Callable[[Simulation, str], None]) -> None:
    simulation, talos = lab()
    ill(simulation, f"{CP}-2")
    reboot(simulation, talos, f"{CP}-2")
    simulation.advance(60)
    assert names(simulation) == ["1", "2", "3"]
    assert provider_sees_health(simulation)
    assert not seen(simulation, talos, 2).learner


def test_nobody_leaves_gracefully_where_the_rest_would_have_no_spare() -> None:
    """etcd's mayRemoveMember: with one of three down, taking another out is refused; a dead one may go."""
    simulation, _ = lab()
    faults.power_loss(simulation, f"{CP}-1")
    first, second, third = simulation.machines(simulation.control_plane)
    assert not simulation.etcd.leave(second)
    assert not simulation.etcd.leave(first), "the dead one cannot do it itself"
    simulation.etcd.audit({second.name, third.name})
    assert names(simulation) == ["2", "3"]
    faults.power_loss(simulation, second.name)
    simulation.etcd.audit({third.name})
    assert names(simulation) == ["2", "3"], "without a quorum nothing is removed, not even by force"


def test_a_member_without_a_name_is_not_audited() -> None:
    simulation, _ = lab()
    etcd_faults.unstart(simulation, f"{CP}-2")
    simulation.look_again()
    simulation.advance(60)
    assert names(simulation) == ["1", "2", "3"]
