"""Done, and the end without progress."""

from dataclasses import replace

import pytest

from guards.core.model import Snapshot, Strategy
from guards.exits import Exit
from tests.core.builders import (
    CLUSTER,
    CP,
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
from tests.core.looks import last, rules, watch


def test_done_needs_three_looks_over_thirty_seconds() -> None:
    verdicts = watch([snapshot(at=after(s)) for s in (0, 15, 29, 30)], parameters(), CP)
    assert [v.exit for v in verdicts] == [None, None, None, Exit.DONE]
    assert verdicts[0].look_within.total_seconds() == 10


def test_done_needs_three_looks_however_long_they_take() -> None:
    verdicts = watch([snapshot(at=after(s)) for s in (0, 60, 61)], parameters(), CP)
    assert [v.exit for v in verdicts] == [None, None, Exit.DONE]


def test_a_flap_begins_the_count_again() -> None:
    flap = snapshot(down("cp-1"), machine("cp-2"), machine("cp-3"), at=after(20))
    looks = [snapshot(at=after(0)), snapshot(at=after(10)), flap, *(snapshot(at=after(s)) for s in (30, 40, 59, 60))]
    verdicts = watch(looks, parameters(), CP)
    assert [v.exit for v in verdicts] == [None] * 6 + [Exit.DONE]


@pytest.mark.parametrize(
    "machines",
    [
        (old("cp-1"), machine("cp-2"), machine("cp-3")),
        (machine("cp-1"), machine("cp-2"), deleting("cp-3", outdated=())),
        (machine("cp-1"), machine("cp-2")),
        (machine("cp-1"), machine("cp-2"), machine("cp-3"), machine("cp-4")),
        (machine("cp-1"), machine("cp-2"), down("cp-3")),
        (machine("cp-1"), machine("cp-2"), machine("cp-3", pool="", stranger="has no owner")),
    ],
    ids=["outdated", "deleting", "too-few", "too-many", "not-ready", "stranger-for-a-slot"],
)
def test_what_keeps_it_from_being_done(machines: tuple) -> None:  # type: ignore[type-arg]
    looks = [snapshot(*machines, at=after(s)) for s in (0, 10, 20, 25, 29)]
    assert all(v.exit is None for v in watch(looks, parameters(), CP))
    verdict = last([*looks, snapshot(*machines, at=after(31))], parameters(scope="control-plane"), CP)
    assert verdict.exit is not Exit.DONE


def test_an_older_machine_set_with_replicas_keeps_it_from_being_done() -> None:
    behind = pool(WORKERS, unfinished=("MachineSet x of an older template still has 1 replicas",))
    looks = [snapshot(pools=(pool(CP), behind), at=after(s)) for s in (0, 20, 40)]
    verdict = last(looks, parameters(), WORKERS)
    assert verdict.exit is None
    assert "MachineSet x" in verdict.sentence


def test_a_scope_without_pools_is_never_done() -> None:
    looks = [snapshot(pools=(pool(CP),), at=after(s)) for s in (0, 20, 40)]
    assert last(looks, parameters(scope="workers"), WORKERS).exit is None


def test_done_with_the_control_plane_leaves_the_workers_to_their_step() -> None:
    looks = [snapshot(old("w-1"), machine("w-2"), machine("w-3"), at=after(s)) for s in (0, 20, 40)]
    assert last(looks, parameters(), CP).exit is Exit.DONE


# progress


def stuck(*seconds: float) -> list[Snapshot]:
    return [snapshot(starting("cp-4"), old("cp-2"), old("cp-3"), at=after(s)) for s in seconds]


def test_without_a_milestone_it_ends_after_the_timeout_and_names_the_last_one() -> None:
    begin = snapshot(deleting("cp-1"), old("cp-2"), old("cp-3"))
    looks = [begin, *stuck(60, 60 + 899, 60 + 900)]
    verdicts = watch(looks, parameters(controlPlaneTimeout="15m"), CP)
    assert [v.exit for v in verdicts] == [None, None, None, Exit.TIMED_OUT]
    assert "cp-1 is gone, cp-4 created" in verdicts[-1].sentence
    assert "Brake:" in verdicts[-1].sentence


def test_each_milestone_begins_the_time_again() -> None:
    booted = snapshot(starting("cp-4", infrastructure_ready=True), old("cp-2"), old("cp-3"), at=after(800))
    verdicts = watch([*stuck(0), booted, *stuck(1000, 1699)], parameters(controlPlaneTimeout="15m"), CP)
    assert all(v.exit is None for v in verdicts)


def test_flapping_is_no_progress() -> None:
    looks = []
    for second in range(0, 1100, 100):
        flapping = machine("cp-1") if second % 200 else down("cp-1")
        looks.append(snapshot(flapping, old("cp-2"), machine("cp-3"), at=after(second)))
    verdicts = watch(looks, parameters(controlPlaneTimeout="15m"), CP)
    assert verdicts[-1].exit is Exit.TIMED_OUT


def test_progress_of_the_other_scope_does_not_count() -> None:
    looks = [*stuck(0)]
    looks += [snapshot(starting("cp-4"), old("cp-2"), old("cp-3"), machine(f"w-{s}"), machine("w-2"), machine("w-3"),
                       at=after(s)) for s in (400, 901)]  # fmt: skip
    assert last(looks, parameters(controlPlaneTimeout="15m"), CP).exit is Exit.TIMED_OUT


# what must not change under a run


def test_a_change_of_replicas_ends_the_run() -> None:
    looks = [snapshot(), snapshot(pools=(pool(CP, replicas=5, generation=2), pool(WORKERS)), at=after(10))]
    verdict = last(looks, parameters(), CP)
    assert verdict.exit is Exit.REFUSED
    assert "replicas changed from 3 to 5" in verdict.sentence


def test_a_change_of_strategy_ends_the_run() -> None:
    surging = pool(CP, strategy=Strategy("RollingUpdate", 1, None), generation=2)
    verdict = last([snapshot(), snapshot(pools=(surging, pool(WORKERS)), at=after(10))], parameters(), CP)
    assert verdict.exit is Exit.REFUSED
    assert rules(verdict) >= {"strategy"}


def test_a_change_of_strategy_that_is_still_allowed_ends_the_run_too() -> None:
    other = pool(CP, strategy=Strategy("RollingUpdate", "0", None), generation=2)
    verdict = last([snapshot(), snapshot(pools=(other, pool(WORKERS)), at=after(10))], parameters(), CP)
    assert verdict.exit is Exit.REFUSED


def test_a_new_spec_is_followed_and_said() -> None:
    looks = [snapshot(), snapshot(pools=(pool(CP, generation=2), pool(WORKERS)), at=after(10))]
    verdict = last(looks, parameters(), CP)
    assert verdict.exit is None
    assert "newest-spec" in rules(verdict)


def test_a_new_spec_under_a_pause_is_refused_like_at_the_begin() -> None:
    paused = pool(CP, generation=2, paused=("TalosControlPlane homelab-cp",))
    verdict = last([snapshot(), snapshot(pools=(paused, pool(WORKERS)), at=after(10))], parameters(), CP)
    assert verdict.exit is Exit.REFUSED


def test_the_brake_of_a_person_is_waited_for_and_named() -> None:
    paused = pool(CP, paused=("TalosControlPlane homelab-cp",))
    looks = [
        snapshot(),
        snapshot(old("cp-1"), machine("cp-2"), machine("cp-3"), pools=(paused, pool(WORKERS)), at=after(9)),
    ]
    verdict = last(looks, parameters(), CP)
    assert verdict.exit is None
    assert "paused" in rules(verdict)


@pytest.mark.parametrize(
    "changed",
    [
        snapshot(cluster=replace(CLUSTER, uid="another"), at=after(9)),
        snapshot(cluster=replace(CLUSTER, deleting=True), at=after(9)),
        snapshot(pools=(pool(CP, deleting=True), pool(WORKERS)), at=after(9)),
        snapshot(pools=(pool(WORKERS),), at=after(9)),
        snapshot(pools=(pool(CP, uid="another"), pool(WORKERS)), at=after(9)),
    ],
    ids=["cluster-recreated", "cluster-deleting", "pool-deleting", "pool-gone", "pool-recreated"],
)
def test_identity_is_pinned(changed: Snapshot) -> None:
    verdict = last([snapshot(), changed], parameters(), CP)
    assert verdict.exit is Exit.REFUSED
    assert rules(verdict) >= {"identity"}


def test_surplus_machines_are_reported() -> None:
    seen = snapshot(machine("cp-1"), machine("cp-2"), machine("cp-3"), machine("cp-4"))
    assert "G6" in rules(last([seen], parameters(), CP))


def test_strangers_are_reported() -> None:
    seen = snapshot(
        machine("cp-1"), machine("cp-2"), machine("cp-3"), machine("cp-9", pool="", stranger="has no owner")
    )
    assert "G6" in rules(last([seen], parameters(), CP))
