"""G3: the real control-plane provider deletes the next machine before the new one is Ready."""

from datetime import datetime

import pytest

from guards.core.model import Machine, Snapshot
from guards.exits import Exit
from tests.core.builders import CP, NOON, WORKERS, after, deleting, down, machine, old, parameters, snapshot, starting
from tests.core.looks import last, rules, watch


def new(name: str = "cp-4", **changes: object) -> Machine:
    """Up to date, has a node, is not Ready yet."""
    return down(name, created_at=NOON, **changes)


def overlap(at: datetime = NOON, **changes: object) -> Snapshot:
    return snapshot(deleting("cp-2", since=NOON), new(**changes), old("cp-3"), at=at)


def test_the_handover_waits_and_is_named() -> None:
    verdict = last([overlap()], parameters(), CP)
    assert verdict.exit is None
    assert "G3" in rules(verdict)
    assert any("cp-4 is up to date" in f.text and "cp-2 is already deleting" in f.text for f in verdict.findings)


@pytest.mark.parametrize(("grace", "second", "ends"), [("2m", 119, False), ("2m", 120, True), ("0s", 0, True)])
def test_it_lasts_as_long_as_the_grace_since_the_deletion_began(grace: str, second: int, ends: bool) -> None:
    verdict = last([overlap(at=after(second))], parameters(handoverGrace=grace), CP)
    assert (verdict.exit is Exit.REFUSED) is ends
    if ends:
        assert "cp-2, cp-4" in verdict.sentence


@pytest.mark.parametrize(
    "wrong",
    [{"node": ""}, {"outdated": ("version",)}, {"pool": "", "stranger": "has no owner"}],
    ids=["no-node", "outdated", "stranger"],
)
def test_it_explains_only_a_new_machine_that_has_registered(wrong: dict[str, object]) -> None:
    assert last([overlap(**wrong)], parameters(), CP).exit is Exit.REFUSED


def test_a_machine_that_was_ready_in_this_run_has_failed_and_is_not_starting() -> None:
    before = snapshot(old("cp-2"), machine("cp-4"), old("cp-3"), at=after(-10))
    verdict = last([before, overlap()], parameters(), CP)
    assert verdict.exit is Exit.REFUSED
    assert rules(verdict) == {"G2"}


@pytest.mark.parametrize(
    "machines",
    [
        (deleting("cp-1"), deleting("cp-2"), new("cp-4")),
        (deleting("cp-3"), new("cp-4"), new("cp-5")),
    ],
    ids=["two-deleting", "two-starting"],
)
def test_a_larger_budget_makes_no_larger_handover(machines: tuple[Machine, ...]) -> None:
    """(2,3) and (1,3) with two allowed: G3 is about exactly one deleting and exactly one starting."""
    assert last([snapshot(*machines)], parameters(maxConcurrentUnavailable="2"), CP).exit is Exit.REFUSED


def test_nobody_ready_is_no_handover() -> None:
    """(0,2): seen on the real provider with late nodes."""
    seen = snapshot(new("cp-4"), new("cp-5"), old("cp-3"))
    verdict = last([seen], parameters(), CP)
    assert verdict.exit is Exit.REFUSED
    assert rules(verdict) == {"G2"}


def test_three_down_is_no_handover() -> None:
    """(1,3): seen on the real provider with very late nodes."""
    seen = snapshot(deleting("cp-3"), new("cp-4"), new("cp-5"))
    assert last([seen], parameters(), CP).exit is Exit.REFUSED


def test_workers_have_no_handover() -> None:
    seen = snapshot(deleting("w-2"), down("w-4"), old("w-3"))
    assert last([seen], parameters(), WORKERS).exit is Exit.REFUSED


def test_it_explains_the_missing_slot_too() -> None:
    looks = [overlap(at=after(second)) for second in (0, 20, 40, 60)]
    assert all(verdict.exit is None for verdict in watch(looks, parameters(), CP))


def test_the_next_look_comes_when_the_grace_ends() -> None:
    verdict = last([overlap(at=after(110))], parameters(), CP)
    assert verdict.look_within.total_seconds() == 10


def test_a_machine_without_a_node_is_the_gap_not_the_handover() -> None:
    seen = snapshot(deleting("cp-2"), starting("cp-4"), machine("cp-3"))
    assert last([seen], parameters(), CP).exit is Exit.REFUSED
