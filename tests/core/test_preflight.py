"""May a run begin? The order of the answers, and every refusal with object, seen, expected and next command."""

from dataclasses import replace
from datetime import timedelta

import pytest

from guards.core.decide import take_in
from guards.core.memory import Memory
from guards.core.model import HealthCheck, Ready, Snapshot, Strategy
from guards.core.preflight import preflight, step_may_begin
from guards.core.verdict import Decision, Ending
from guards.exits import Exit
from tests.core.builders import (
    CLUSTER,
    CP,
    NOON,
    WORKERS,
    after,
    deleting,
    down,
    machine,
    old,
    parameters,
    pool,
    snapshot,
    starting,
)


def ask(seen: Snapshot, newer_run: str = "", **changes: object) -> Ending:
    wanted = parameters(**changes)
    memory = take_in(Memory(started_at=seen.taken_at), seen, wanted)
    return preflight(seen, memory, wanted, newer_run)


OLD_CP = (old("cp-1"), old("cp-2"), old("cp-3"))
OLD_WORKERS = (old("w-1"), old("w-2"), old("w-3"))


def with_cp(**changes: object) -> tuple:  # type: ignore[type-arg]
    return (pool(CP, **changes), pool(WORKERS))


def with_workers(**changes: object) -> tuple:  # type: ignore[type-arg]
    return (pool(CP), pool(WORKERS, **changes))


def test_something_outdated_rolls_and_says_what() -> None:
    ending = ask(snapshot(*OLD_CP))
    assert (ending.decision, ending.exit) == (Decision.ROLL, Exit.DONE)
    assert "3 of 3 to replace (version v1.35.0, wanted v1.35.1)" in ending.sentence


def test_nothing_to_do_is_converged_at_the_first_look() -> None:
    ending = ask(snapshot())
    assert (ending.decision, ending.exit) == (Decision.CONVERGED, Exit.DONE)


@pytest.mark.parametrize("machines", [OLD_CP, ()], ids=["roll", "converged"])
def test_a_cluster_without_deployments_says_so_with_scope_all(machines: tuple) -> None:  # type: ignore[type-arg]
    seen = snapshot(*machines, pools=(pool(CP),))
    assert "no MachineDeployments" in ask(seen).sentence
    assert "no MachineDeployments" not in ask(seen, scope="control-plane").sentence


@pytest.mark.parametrize(("age", "decision"), [(29, Decision.ROLL), (30, Decision.CONVERGED)])
def test_what_changed_in_the_last_thirty_seconds_is_watched(age: int, decision: Decision) -> None:
    fresh = machine("cp-1", ready_since=after(-age))
    assert ask(snapshot(fresh, machine("cp-2"), machine("cp-3"))).decision is decision


def test_an_overtaken_run_is_superseded_before_anything_else() -> None:
    ending = ask(snapshot(*OLD_CP, cluster=replace(CLUSTER, paused=True)), "capi-homelab-cp-1-g7", tcpGeneration="6")
    assert (ending.decision, ending.exit) == (Decision.SUPERSEDED, Exit.DONE)
    assert "capi-homelab-cp-1-g7" in ending.sentence


def test_a_control_plane_that_is_not_initialised_is_bootstrapping() -> None:
    ending = ask(snapshot(*OLD_CP, cluster=replace(CLUSTER, control_plane_initialized=False)))
    assert (ending.decision, ending.exit) == (Decision.BOOTSTRAPPING, Exit.DONE)


SURGING = with_cp(strategy=Strategy("RollingUpdate", 1, None))
ORDER: dict[str, tuple[Snapshot, Decision]] = {
    "bootstrapping-before-refusals": (
        snapshot(*OLD_CP, pools=SURGING, cluster=replace(CLUSTER, control_plane_initialized=False)), Decision.BOOTSTRAPPING),
    "deleting-before-bootstrapping": (
        snapshot(*OLD_CP, cluster=replace(CLUSTER, deleting=True, control_plane_initialized=False)), Decision.REFUSED),
    "converged-before-refusals": (snapshot(pools=SURGING), Decision.CONVERGED),
}  # fmt: skip


@pytest.mark.parametrize("case", ORDER)
def test_the_order(case: str) -> None:
    seen, decision = ORDER[case]
    assert ask(seen).decision is decision


@pytest.mark.parametrize("replicas", [5, 2])
def test_another_number_of_machines_is_scaling(replicas: int) -> None:
    ending = ask(snapshot(pools=with_cp(replicas=replicas)))
    assert (ending.decision, ending.exit) == (Decision.SCALING, Exit.DONE)


def test_down_without_a_roll_is_unhealthy() -> None:
    ending = ask(snapshot(down("w-1"), machine("w-2"), machine("w-3")))
    assert (ending.decision, ending.exit) == (Decision.UNHEALTHY, Exit.REFUSED)
    assert "w-1" in ending.sentence


def test_a_machine_deleted_without_a_roll_is_unhealthy() -> None:
    ending = ask(snapshot(deleting("w-1", outdated=()), machine("w-2"), machine("w-3")))
    assert (ending.decision, ending.exit) == (Decision.UNHEALTHY, Exit.REFUSED)


REFUSALS: dict[str, tuple[Snapshot, dict[str, object], str]] = {
    "cp-surge-absent": (snapshot(*OLD_CP, pools=with_cp(strategy=Strategy("RollingUpdate", None, None))), {}, "max-surge"),
    "cp-surge-1": (snapshot(*OLD_CP, pools=with_cp(strategy=Strategy("RollingUpdate", 1, None))), {}, "max-surge"),
    "cp-surge-0%": (snapshot(*OLD_CP, pools=with_cp(strategy=Strategy("RollingUpdate", "0%", None))), {}, "max-surge"),
    "cp-ondelete": (snapshot(*OLD_CP, pools=with_cp(strategy=Strategy("OnDelete", 0, None))), {}, "strategy"),
    "md-surge-absent": (
        snapshot(*OLD_WORKERS, pools=with_workers(strategy=Strategy("RollingUpdate", None, 1))), {}, "max-surge"),
    "md-surge-1%": (
        snapshot(*OLD_WORKERS, pools=with_workers(strategy=Strategy("RollingUpdate", "1%", 1))), {}, "max-surge"),
    "md-unavailable-2": (
        snapshot(*OLD_WORKERS, pools=with_workers(strategy=Strategy("RollingUpdate", 0, 2))), {}, "max-unavailable"),
    "md-unavailable-67%": (
        snapshot(*OLD_WORKERS, pools=with_workers(strategy=Strategy("RollingUpdate", 0, "67%"))), {}, "max-unavailable"),
    "md-unavailable-text": (
        snapshot(*OLD_WORKERS, pools=with_workers(strategy=Strategy("RollingUpdate", 0, "50 percent"))), {},
        "max-unavailable"),
    "md-ondelete": (snapshot(*OLD_WORKERS, pools=with_workers(strategy=Strategy("OnDelete", 0, 1))), {}, "strategy"),
    "cp-of-1": (snapshot(old("cp-1"), pools=with_cp(replicas=1)), {}, "control-plane-size"),
    "cp-of-2": (snapshot(old("cp-1"), old("cp-2"), pools=with_cp(replicas=2)), {}, "control-plane-size"),
    "cluster-paused": (snapshot(*OLD_CP, cluster=replace(CLUSTER, paused=True)), {}, "paused"),
    "cp-paused": (snapshot(*OLD_CP, pools=with_cp(paused=("TalosControlPlane homelab-cp",))), {}, "paused"),
    "set-paused": (snapshot(*OLD_WORKERS, pools=with_workers(paused=("MachineSet x",))), {}, "paused"),
    "machine-paused": (snapshot(old("cp-1", paused=True), old("cp-2"), old("cp-3")), {}, "paused"),
    "held": (snapshot(*OLD_CP, cluster=replace(CLUSTER, hold="disk swap")), {}, "hold"),
    "two-deployments": (
        snapshot(*OLD_WORKERS, *(old(f"x-{i}", pool="extra") for i in (1, 2, 3)),
                 pools=(pool(CP), pool(WORKERS), pool(WORKERS, name="extra", uid="uid-extra"))), {},
        "parallel-deployments"),
    "shared-budget": (snapshot(*OLD_CP, *OLD_WORKERS), {"budgetScope": "cluster"}, "shared-budget"),
    "budget-used-up": (snapshot(old("w-1", ready=Ready.FALSE), old("w-2"), old("w-3")), {}, "budget-left"),
    "new-one-long-dead": (snapshot(starting("cp-4", created=after(-2700)), old("cp-2"), old("cp-3")), {}, "budget-left"),
    "already-two": (snapshot(deleting("w-1"), starting("w-4"), old("w-3")), {}, "G2"),
    "no-control-plane": (snapshot(pools=(pool(WORKERS),)), {}, "has-pools"),
    "no-deployments": (snapshot(pools=(pool(CP),)), {"scope": "workers"}, "has-pools"),
    "cluster-deleting": (snapshot(cluster=replace(CLUSTER, deleting=True)), {}, "deleting"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case: str) -> None:
    seen, changes, rule = REFUSALS[case]
    ending = ask(seen, **changes)
    assert (ending.decision, ending.exit) == (Decision.REFUSED, Exit.REFUSED)
    assert f"[{rule}]" in ending.sentence
    assert "python -m workflows submit --cluster homelab" in ending.sentence


ACCEPTED: dict[str, tuple[Snapshot, dict[str, object]]] = {
    "cp-surge-text-0": (snapshot(*OLD_CP, pools=with_cp(strategy=Strategy("RollingUpdate", "0", None))), {}),
    "md-surge-0%": (snapshot(*OLD_WORKERS, pools=with_workers(strategy=Strategy("RollingUpdate", "0%", 1))), {}),
    "md-unavailable-34%": (snapshot(*OLD_WORKERS, pools=with_workers(strategy=Strategy("RollingUpdate", 0, "34%"))), {}),
    "md-both-zero": (snapshot(*OLD_WORKERS, pools=with_workers(strategy=Strategy("RollingUpdate", 0, 0))), {}),
    "cp-of-2-allowed": (
        snapshot(old("cp-1"), old("cp-2"), pools=with_cp(replicas=2)), {"allowTwoControlPlanes": "true"}),
    "md-surge-out-of-scope": (
        snapshot(*OLD_CP, pools=with_workers(strategy=Strategy("RollingUpdate", 1, 0))), {"scope": "control-plane"}),
    "cp-surge-out-of-scope": (
        snapshot(*OLD_WORKERS, pools=with_cp(strategy=Strategy("RollingUpdate", 1, None))), {"scope": "workers"}),
    "workers-need-no-tcp": (snapshot(*OLD_WORKERS, pools=(pool(WORKERS),)), {"scope": "workers"}),
    "already-rolling": (snapshot(deleting("w-1"), old("w-2"), old("w-3")), {}),
    "booting-replacement": (snapshot(starting("cp-4", created=after(-600)), old("cp-2"), old("cp-3")), {}),
    "both-scopes-own-budgets": (snapshot(*OLD_CP, *OLD_WORKERS), {}),
    "no-deployments-with-all": (snapshot(*OLD_CP, pools=(pool(CP),)), {}),
}  # fmt: skip


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted(case: str) -> None:
    seen, changes = ACCEPTED[case]
    ending = ask(seen, **changes)
    assert (ending.decision, ending.exit) == (Decision.ROLL, Exit.DONE), ending.sentence


def test_a_refusal_while_machines_move_carries_the_brake() -> None:
    seen = snapshot(
        deleting("cp-1"), old("cp-2"), old("cp-3"), pools=with_cp(strategy=Strategy("RollingUpdate", 1, None))
    )
    assert "annotate taloscontrolplane homelab-cp cluster.x-k8s.io/paused=true" in ask(seen).sentence


def test_all_refusals_are_told_at_once() -> None:
    seen = snapshot(
        *OLD_CP, pools=with_cp(strategy=Strategy("RollingUpdate", 1, None)), cluster=replace(CLUSTER, hold="x")
    )
    sentence = ask(seen).sentence
    assert "[max-surge]" in sentence
    assert "[hold]" in sentence


def test_the_last_machine_of_a_roll_is_watched_until_it_is_stable() -> None:
    """Nothing is outdated any more, the last replacement is booting: no refusal, from preflight or a step."""
    seen = snapshot(starting("cp-4"), machine("cp-2"), machine("cp-3"), at=NOON)
    assert ask(seen).decision is Decision.ROLL
    assert step_may_begin(seen, parameters()) is None


def test_more_new_machines_than_the_budget_are_scaling() -> None:
    seen = snapshot(starting("w-4"), starting("w-5"), machine("w-1"), machine("w-2"), machine("w-3"),
                    pools=with_workers(replicas=5), at=NOON)  # fmt: skip
    assert ask(seen).decision is Decision.SCALING


def test_a_new_machine_that_takes_longer_than_the_timeout_is_unhealthy() -> None:
    seen = snapshot(starting("w-4", created=after(-3600)), machine("w-2"), machine("w-3"), at=NOON)
    assert ask(seen).decision is Decision.UNHEALTHY


def test_a_step_refuses_what_preflight_refuses_in_the_configuration() -> None:
    ending = step_may_begin(snapshot(*OLD_CP, cluster=replace(CLUSTER, paused=True)), parameters())
    assert ending is not None
    assert ending.exit is Exit.REFUSED


def with_check(timeout: timedelta | None, *machines: str) -> Snapshot:
    return replace(snapshot(*OLD_CP, *OLD_WORKERS), health_checks=(HealthCheck("boot", timeout, machines),))


def test_a_health_check_that_gives_up_early_is_refused() -> None:
    acting = {"maxRemediations": "1"}
    early = ask(with_check(timedelta(minutes=10), "w-1"), **acting).sentence
    assert "MachineHealthCheck boot: its node startup timeout is 10m, must be 0 or at least stuckAfter (30m)" in early
    assert ask(with_check(timedelta(minutes=30), "w-1"), **acting).decision is Decision.ROLL
    assert ask(with_check(None, "w-1"), **acting).decision is Decision.ROLL
    assert ask(with_check(timedelta(minutes=10), "w-9"), **acting).decision is Decision.ROLL
    assert ask(with_check(timedelta(minutes=10), "w-1")).decision is Decision.ROLL, "only watching: it is said"


def test_stuck_after_must_come_before_the_timeout() -> None:
    seen = snapshot(*OLD_CP, *OLD_WORKERS)
    late = ask(seen, maxRemediations="1", stuckAfter="45m").sentence
    assert "stuckAfter is 45m, must be shorter than the timeout of control-plane (45m)" in late
    assert ask(seen, maxRemediations="1", stuckAfter="44m").decision is Decision.ROLL
    assert ask(seen, stuckAfter="45m").decision is Decision.ROLL
