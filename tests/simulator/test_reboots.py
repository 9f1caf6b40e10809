"""A reboot through the Talos API: what it takes, what it heals, and where it does not happen."""

from dataclasses import replace

import pytest

from guards.core.evidence import Answer, Silence, Silent
from guards.kube.access import MACHINE
from guards.parameters import RebootMode
from guards.simulator import LAB, SimulatedTalos, Simulation, faults
from guards.simulator.records import MachineRecord, RebootFault
from guards.simulator.timing import NEVER
from guards.talos.ports import Refused, Unproven
from tests.simulator.conftest import NAMESPACE, machines, ready
from tests.simulator.machines import answer, delete, itself, reboot, target

CP, WORKERS = "homelab-cp", "homelab-workers"
OLD, NEW = f"{WORKERS}-1", f"{WORKERS}-4"


@pytest.fixture
def simulation() -> Simulation:
    return Simulation(timings=LAB, remediator=True)


@pytest.fixture
def talos(simulation: Simulation) -> SimulatedTalos:
    return SimulatedTalos(simulation)


def machine(simulation: Simulation, name: str) -> MachineRecord:
    found = simulation.machine(name)
    assert found is not None
    return found


def roll_until_new(simulation: Simulation) -> None:
    """The first worker is replaced by one that comes as far as it is going to."""
    simulation.change(WORKERS, config=f"{WORKERS}-2")
    simulation.advance(120)
    assert not machine(simulation, NEW).ready()


def seen(simulation: Simulation, talos: SimulatedTalos, name: str) -> Answer:
    found = answer(talos, target(simulation, name))
    assert isinstance(found, Answer)
    return found


def test_a_reboot_takes_the_machine_away_and_brings_it_back_with_another_boot(
    simulation: Simulation, talos: SimulatedTalos
) -> None:
    before, boot_id = seen(simulation, talos, OLD), simulation.get(MACHINE, NAMESPACE, OLD)["status"]["nodeInfo"]
    simulation.plan(OLD, reboot=100)
    began = simulation.now()
    reboot(simulation, talos, OLD)
    assert simulation.reboots == {machine(simulation, OLD).uid: [began]}
    assert simulation.down_now("workers") == 1
    silent = answer(talos, target(simulation, OLD))
    assert isinstance(silent, Silent)
    assert silent.why is Silence.UNREACHABLE
    simulation.advance(99)
    assert ready(machines(simulation, WORKERS)[0]) == "Unknown", "Kubernetes has noticed"
    simulation.advance(1.5)
    after = seen(simulation, talos, OLD)
    assert (before.stage, after.stage) == ("running", "booting")
    assert after.boot_time == began.timestamp() + 100 > before.boot_time
    simulation.advance(30)
    assert seen(simulation, talos, OLD).stage == "running"
    assert ready(machines(simulation, WORKERS)[0]) == "True"
    assert simulation.get(MACHINE, NAMESPACE, OLD)["status"]["nodeInfo"]["bootID"] != boot_id["bootID"]
    assert simulation.down_now("workers") == 0


def test_a_quick_reboot_shows_in_the_boot_id_although_no_condition_moved(
    simulation: Simulation, talos: SimulatedTalos
) -> None:
    faults.break_down(simulation, OLD)
    seen = []
    for _ in range(2):
        reboot(simulation, talos, OLD)
        simulation.advance(6)
        seen.append(simulation.get(MACHINE, NAMESPACE, OLD)["status"])
    assert seen[0]["conditions"] == seen[1]["conditions"]
    assert seen[0]["nodeInfo"]["bootID"] != seen[1]["nodeInfo"]["bootID"]


def test_a_hung_machine_answers_and_a_reboot_heals_it(simulation: Simulation, talos: SimulatedTalos) -> None:
    faults.hang(simulation, OLD)
    simulation.advance(600)
    assert ready(machines(simulation, WORKERS)[0]) == "False"
    assert seen(simulation, talos, OLD).stage == "running"
    reboot(simulation, talos, OLD)
    simulation.advance(60)
    assert machine(simulation, OLD).serving


@pytest.mark.parametrize("step", ["boot", "ready"])
def test_a_machine_that_hangs_in_its_first_boot_is_healed_by_a_reboot(
    simulation: Simulation, talos: SimulatedTalos, step: str
) -> None:
    simulation.plan(NEW, **{step: NEVER})
    roll_until_new(simulation)
    assert (machine(simulation, NEW).node is None) == (step == "boot")
    assert target(simulation, NEW).addresses, "known before there is a Node"
    reboot(simulation, talos, NEW)
    simulation.advance(60)
    assert machine(simulation, NEW).serving


def test_a_hang_in_the_middle_of_a_boot_stays(simulation: Simulation) -> None:
    simulation.plan(NEW, ready=100)
    simulation.change(WORKERS, config=f"{WORKERS}-2")
    simulation.advance(60)
    faults.hang(simulation, NEW)
    simulation.advance(200)
    assert machine(simulation, NEW).node is not None
    assert not machine(simulation, NEW).serving


def test_a_hang_may_be_planned_for_a_machine_to_come(simulation: Simulation, talos: SimulatedTalos) -> None:
    faults.hang(simulation, NEW)
    roll_until_new(simulation)
    reboot(simulation, talos, NEW)
    simulation.advance(60)
    assert machine(simulation, NEW).serving


@pytest.mark.parametrize("plan", [{}, {"boot": NEVER}])
def test_what_is_broken_needs_a_new_machine(
    simulation: Simulation, talos: SimulatedTalos, plan: dict[str, float]
) -> None:
    faults.break_down(simulation, NEW)
    simulation.plan(NEW, **plan)
    roll_until_new(simulation)
    before = seen(simulation, talos, NEW)
    reboot(simulation, talos, NEW)
    simulation.advance(600)
    assert not machine(simulation, NEW).serving
    assert seen(simulation, talos, NEW).boot_time > before.boot_time, "it did reboot"
    delete(simulation, NEW)
    simulation.advance(60)
    assert simulation.machine(NEW) is None
    assert machine(simulation, f"{WORKERS}-5").serving


def test_a_reboot_in_the_boot_begins_it_again(simulation: Simulation, talos: SimulatedTalos) -> None:
    simulation.plan(NEW, ready=200)
    simulation.change(WORKERS, config=f"{WORKERS}-2")
    simulation.advance(60, lambda: (m := simulation.machine(NEW)) is not None and m.node is not None)
    simulation.advance(100)
    reboot(simulation, talos, NEW)
    simulation.advance(150)
    assert not machine(simulation, NEW).serving, "the first boot's Ready is gone with it"
    simulation.advance(100)
    assert machine(simulation, NEW).serving


def test_a_power_cut_during_a_reboot_ends_it(simulation: Simulation, talos: SimulatedTalos) -> None:
    reboot(simulation, talos, OLD)
    faults.power_loss(simulation, OLD)
    simulation.advance(600)
    assert not machine(simulation, OLD).serving
    before = machine(simulation, OLD).booted_at
    faults.recover(simulation, OLD)
    assert machine(simulation, OLD).serving
    assert machine(simulation, OLD).booted_at != before


@pytest.mark.parametrize(
    ("fault", "error", "happens"),
    [
        (RebootFault.IGNORED, None, False),
        (RebootFault.REFUSED, Refused, False),
        (RebootFault.LOST_BEFORE, Unproven, False),
        (RebootFault.LOST_AFTER, Unproven, True),
        (None, None, True),
    ],
)
def test_what_the_answer_to_a_reboot_says_and_what_happens(
    simulation: Simulation, talos: SimulatedTalos, fault: RebootFault, error: type[Exception] | None, happens: bool
) -> None:
    faults.reboot_fault(simulation, OLD, fault)
    if error is None:
        reboot(simulation, talos, OLD)
    else:
        with pytest.raises(error):
            reboot(simulation, talos, OLD)
    assert (machine(simulation, OLD).uid in simulation.reboots) == happens


@pytest.mark.parametrize("stage", ["installing", "upgrading", "resetting", "rebooting", "shutting down"])
def test_a_sequence_that_holds_the_lock_swallows_the_reboot(
    simulation: Simulation, talos: SimulatedTalos, stage: str
) -> None:
    faults.stage(simulation, OLD, stage)
    assert seen(simulation, talos, OLD).stage == stage
    reboot(simulation, talos, OLD)
    assert simulation.reboots == {}


@pytest.mark.parametrize("why", [Silence.UNREACHABLE, Silence.UNKNOWN_AUTHORITY, Silence.DENIED])
def test_who_does_not_talk_to_us_is_not_rebooted(simulation: Simulation, talos: SimulatedTalos, why: Silence) -> None:
    faults.silence(simulation, OLD, why)
    with pytest.raises(Refused):
        reboot(simulation, talos, OLD)
    with pytest.raises(Refused, match=r"10\.90\.99\.99"):
        talos.reboot(replace(itself(simulation, OLD), address="10.90.99.99"), RebootMode.DEFAULT)
    assert simulation.reboots == {}


def test_a_reboot_hits_nobody_else_who_has_the_address_now(simulation: Simulation, talos: SimulatedTalos) -> None:
    """facts/capi-talos §7: after a delete the replacement may be in the same server."""
    old = itself(simulation, OLD)
    simulation.change(WORKERS, config=f"{WORKERS}-2")
    simulation.advance(60, lambda: (m := simulation.machine(NEW)) is not None and m.server != "")
    with pytest.raises(Refused, match="unknown authority"):
        talos.reboot(old, RebootMode.DEFAULT)
    simulation.advance(60, lambda: machine(simulation, NEW).ready())
    assert target(simulation, NEW).addresses == (old.address,)
    with pytest.raises(Refused, match=f"{NEW} answers here now, expected {OLD}"):
        talos.reboot(old, RebootMode.DEFAULT)
    assert simulation.reboots == {}
