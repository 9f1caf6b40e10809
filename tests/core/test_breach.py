"""G1, G2, G5: fail fast, with names and the brake, and not one look earlier or later."""

import pytest

from guards.exits import Exit
from tests.core.builders import CP, WORKERS, after, deleting, down, machine, old, parameters, pool, snapshot, starting
from tests.core.looks import last, rules, watch


def test_one_deleting_and_not_ready_is_the_normal_replacement() -> None:
    verdict = last([snapshot(deleting("w-1"), old("w-2"), old("w-3"))], parameters(), WORKERS)
    assert verdict.exit is None


def test_g1_two_deleting_end_the_run_at_the_first_look() -> None:
    seen = [snapshot(deleting("w-1"), deleting("w-2"), old("w-3"))]
    verdict = last(seen, parameters(), WORKERS)
    assert verdict.exit is Exit.REFUSED
    assert rules(verdict) >= {"G1"}
    assert "w-1" in verdict.sentence
    assert "w-2" in verdict.sentence


def test_g1_counts_deleting_machines_that_are_still_ready() -> None:
    still_ready = {"ready": machine("x").ready}
    seen = snapshot(deleting("w-1", **still_ready), deleting("w-2", **still_ready), old("w-3"))
    verdict = last([seen], parameters(), WORKERS)
    assert verdict.exit is Exit.REFUSED
    assert rules(verdict) == {"G1"}


def test_g2_a_second_machine_down_beside_the_one_being_replaced() -> None:
    verdict = last([snapshot(deleting("w-1"), down("w-2"), old("w-3"))], parameters(), WORKERS)
    assert verdict.exit is Exit.REFUSED
    assert rules(verdict) == {"G2"}
    assert "2 machines are not Ready (w-1, w-2), 1 allowed" in verdict.sentence


def test_the_breach_carries_the_brake_for_every_moving_object() -> None:
    broken = down("cp-2", outdated=("version",))
    seen = snapshot(deleting("cp-1"), broken, old("cp-3"), old("w-1"), machine("w-2"), machine("w-3"))
    sentence = last([seen], parameters(), CP).sentence
    pause = "kubectl -n default annotate"
    assert f"{pause} taloscontrolplane homelab-cp cluster.x-k8s.io/paused=true" in sentence
    assert f"{pause} machinedeployment homelab-workers cluster.x-k8s.io/paused=true" in sentence
    assert "while paused no replacement is created" in sentence


def test_with_scope_all_a_breach_of_the_other_scope_ends_the_step() -> None:
    seen = snapshot(deleting("w-1"), down("w-2"), old("w-3"))
    assert last([seen], parameters(scope="all"), CP).exit is Exit.REFUSED


def test_with_scope_control_plane_workers_are_not_counted() -> None:
    seen = snapshot(deleting("w-1"), down("w-2"), old("w-3"))
    assert last([seen], parameters(scope="control-plane"), CP).exit is None


def test_with_two_allowed_two_down_are_none_too_many() -> None:
    seen = snapshot(deleting("w-1"), down("w-2"), old("w-3"))
    assert last([seen], parameters(maxConcurrentUnavailable="2"), WORKERS).exit is None


def test_one_budget_for_the_cluster_adds_both_scopes_up() -> None:
    seen = snapshot(deleting("cp-1"), old("cp-2"), old("cp-3"), deleting("w-1"), old("w-2"), old("w-3"))
    assert last([seen], parameters(), CP).exit is None
    verdict = last([seen], parameters(budgetScope="cluster"), CP)
    assert verdict.exit is Exit.REFUSED
    assert rules(verdict) >= {"G1", "G2"}


def test_a_stranger_that_is_down_counts() -> None:
    stranger = down("w-9", pool="", stranger="has no owner")
    verdict = last([snapshot(deleting("w-1"), old("w-2"), old("w-3"), stranger)], parameters(), WORKERS)
    assert verdict.exit is Exit.REFUSED
    assert "w-9" in verdict.sentence


def test_a_stranger_that_is_ready_fills_no_slot() -> None:
    stranger = machine("w-9", pool="", stranger="has no owner")
    looks = [snapshot(machine("w-3"), stranger, at=after(s)) for s in (0, 15, 30)]
    verdict = last(looks, parameters(), WORKERS)
    assert verdict.exit is Exit.REFUSED
    assert rules(verdict) == {"G5"}


def gap(*seconds: float) -> list:  # type: ignore[type-arg]
    """One slot empty, the other one's machine still starting: (0,1), but two slots are missing."""
    return [snapshot(starting("w-4"), old("w-3"), at=after(s)) for s in seconds]


def test_g5_the_gap_is_normal_for_seconds_and_a_breach_after_three_looks_over_thirty() -> None:
    verdicts = watch(gap(0, 15, 29, 30), parameters(), WORKERS)
    assert [v.exit for v in verdicts] == [None, None, None, Exit.REFUSED]
    assert rules(verdicts[-1]) == {"G5"}


def test_g5_needs_three_looks_however_long_they_take() -> None:
    verdicts = watch(gap(0, 60, 61), parameters(), WORKERS)
    assert [v.exit for v in verdicts] == [None, None, Exit.REFUSED]


def test_g5_begins_again_when_the_slot_was_filled_meanwhile() -> None:
    whole = snapshot(starting("w-4"), machine("w-5"), old("w-3"), at=after(20))
    verdicts = watch([*gap(0, 10), whole, *gap(30, 40, 50)], parameters(), WORKERS)
    assert all(v.exit is None for v in verdicts)


def test_g5_looks_again_soon_while_a_gap_is_open() -> None:
    assert watch(gap(0), parameters(), WORKERS)[0].look_within.total_seconds() == 10


@pytest.mark.parametrize("limit", ["1", "2"])
def test_g5_counts_against_the_budget(limit: str) -> None:
    verdict = last(gap(0, 15, 30), parameters(maxConcurrentUnavailable=limit), WORKERS)
    assert verdict.exit is (Exit.REFUSED if limit == "1" else None)


def test_an_empty_worker_pool_has_nothing_missing() -> None:
    seen = snapshot(machine("cp-1"), machine("cp-2"), machine("cp-3"), pools=(pool(CP), pool(WORKERS, replicas=0)))
    assert last([seen], parameters(), CP).exit is None
