"""A stuck machine from the first look to the end: rebooted, deleted, or left alone with the reason."""

from collections.abc import Callable

import pytest

from guards.core.evidence import Silence
from guards.exits import Exit
from guards.simulator import etcd_faults, faults
from guards.simulator.records import RebootFault
from guards.simulator.scenarios import CONTROL_PLANE, WORKERS
from guards.simulator.simulation import Simulation
from tests.remediation.bench import Bench, hang_at_birth, next_run, serving, votes, with_node

NEW = {"workers": f"{WORKERS}-4", "control-plane": f"{CONTROL_PLANE}-4"}
BOTH = pytest.mark.parametrize("step", NEW)


@BOTH
def test_one_reboot_heals_it(step: str) -> None:
    bench = Bench(step).roll()
    hang_at_birth(bench, NEW[step], heals=True)
    ending = bench.run()
    assert (ending.exit, bench.reboots, bench.deletes) == (Exit.DONE, 1, 0), bench.text
    assert f"reboot of {NEW[step]}" in ending.sentence
    assert "(proven)" in ending.sentence
    assert not bench.simulation.etcd_quorum_lost


@BOTH
def test_what_no_reboot_heals_is_deleted_and_replaced(step: str) -> None:
    bench = Bench(step).roll()
    hang_at_birth(bench, NEW[step], heals=False)
    ending = bench.run()
    assert (ending.exit, bench.reboots, bench.deletes) == (Exit.DONE, 1, 1), bench.text
    assert f"delete of {NEW[step]}" in ending.sentence
    assert not bench.simulation.etcd_quorum_lost


@BOTH
def test_with_remediate_reboot_it_ends_with_the_reason(step: str) -> None:
    bench = Bench(step, parameters={"remediate": "reboot"}).roll()
    hang_at_birth(bench, NEW[step], heals=False)
    ending = bench.run()
    assert (ending.exit, bench.reboots, bench.deletes) == (Exit.REFUSED, 1, 0), bench.text
    assert "remediate is reboot" in ending.sentence
    assert f"kubectl -n default describe machine {NEW[step]}" in ending.sentence


def test_the_act_after_the_last_allowed_one_is_refused_also_in_the_next_run() -> None:
    bench = Bench(parameters={"maxRemediations": "1"}).roll()
    hang_at_birth(bench, NEW["workers"], heals=False)
    ending = bench.run()
    assert (ending.exit, bench.reboots, bench.deletes) == (Exit.REFUSED, 1, 0), bench.text
    assert "maxRemediations is 1 per generation and in 24 h, 1 done (reboot of homelab-workers-4" in ending.sentence
    again = next_run(bench, "another-run")
    assert again.run().exit is Exit.REFUSED
    assert "[last-run]" in again.text
    assert "--acknowledge" in again.text
    third = next_run(bench, "third-run")
    assert third.run(acknowledge="true").exit is Exit.REFUSED
    assert "[R-budget]" in third.text
    assert (bench.reboots, bench.deletes) == (1, 0)


def test_the_budget_is_back_after_a_day_and_a_new_generation() -> None:
    bench = Bench(parameters={"maxRemediations": "1"}).roll()
    hang_at_birth(bench, NEW["workers"], heals=True)
    assert bench.run().exit is Exit.DONE
    bench.simulation.advance(25 * 3600)
    bench.simulation.change(WORKERS, version="v1.35.7")
    hang_at_birth(bench, f"{WORKERS}-7", heals=True)
    again = next_run(bench, "another-run")
    assert again.run().exit is Exit.DONE, again.text
    assert bench.reboots == 2


def test_an_unreachable_machine_is_deleted_without_a_reboot() -> None:
    bench = Bench().roll()
    world = bench.simulation
    hang_at_birth(bench, NEW["workers"], heals=False)
    world.once(with_node(world, NEW["workers"]), lambda: faults.silence(world, NEW["workers"], Silence.UNREACHABLE))
    ending = bench.run()
    assert (ending.exit, bench.reboots, bench.deletes) == (Exit.DONE, 0, 1), bench.text
    assert "cannot be rebooted: unreachable for 30m" in bench.text


@pytest.mark.parametrize(
    ("fault", "reboots", "deletes", "sentence"),
    [
        (RebootFault.IGNORED, 0, 0, "(unproven): it is not repeated"),
        (RebootFault.LOST_BEFORE, 0, 0, "(unproven): it is not repeated"),
        (RebootFault.LOST_AFTER, 1, 1, "(proven) did not heal it"),
        (RebootFault.REFUSED, 0, 0, "(refused): it is not repeated"),
    ],
)
def test_a_reboot_is_sent_once_whatever_comes_of_it(
    fault: RebootFault, reboots: int, deletes: int, sentence: str
) -> None:
    bench = Bench().roll()
    world = bench.simulation
    hang_at_birth(bench, NEW["workers"], heals=False)
    world.once(with_node(world, NEW["workers"]), lambda: faults.reboot_fault(world, NEW["workers"], fault))
    bench.run()
    assert (bench.reboots, bench.deletes) == (reboots, deletes), bench.text
    assert sentence in bench.text


def test_an_old_machine_that_hangs_beside_the_roll_is_rebooted_but_never_deleted() -> None:
    """A delete could make its old MachineSet build it anew from the old template."""
    bench = Bench().roll()
    world, old = bench.simulation, f"{WORKERS}-2"
    world.plan(f"{WORKERS}-1", drain=1.0)
    world.once(serving(world, f"{WORKERS}-4"), lambda: faults.break_down(world, old))
    ending = bench.run()
    assert bench.deletes == 0, bench.text
    assert ending.exit in (Exit.REFUSED, Exit.TIMED_OUT, Exit.DONE)


def fails_as_a_member(bench: Bench, fail: Callable[[Simulation, str], object]) -> None:
    """The new control-plane machine fails with a vote in etcd: the provider, which wants every member, stands still."""
    world, stuck = bench.simulation, NEW["control-plane"]
    world.once(votes(world, stuck), lambda: fail(world, stuck))


def hangs_and_is_gone_from_etcd(world: Simulation, name: str) -> None:
    faults.hang(world, name)
    etcd_faults.leave_etcd(world, name)


def hangs_with_its_etcd(world: Simulation, name: str) -> None:
    faults.hang(world, name)
    etcd_faults.stop_etcd(world, name)


@pytest.mark.parametrize("fail", [hangs_with_its_etcd, hangs_and_is_gone_from_etcd])
def test_it_is_rebooted_while_the_etcd_condition_is_false(fail: Callable[[Simulation, str], object]) -> None:
    bench = Bench("control-plane").roll()
    fails_as_a_member(bench, fail)
    ending = bench.run()
    assert (ending.exit, bench.reboots, bench.deletes) == (Exit.DONE, 1, 0), bench.text
    assert not bench.simulation.etcd_quorum_lost


def test_a_dead_member_is_deleted_while_the_etcd_condition_is_false() -> None:
    bench = Bench("control-plane").roll()
    fails_as_a_member(bench, faults.power_loss)
    ending = bench.run()
    assert (ending.exit, bench.reboots, bench.deletes) == (Exit.DONE, 0, 1), bench.text
    assert not bench.simulation.etcd_quorum_lost
