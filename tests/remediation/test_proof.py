"""What forbids an act, on facts alone: the same stuck worker, and one thing changed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from guards.core.evidence import Answer, Round, Silence, Silent
from guards.core.ladder import Rung
from guards.core.ledger import Action
from guards.core.memory import Memory, Streak
from guards.core.model import Machine, Ready, Snapshot
from guards.core.proof import objections
from guards.parameters import Scope
from tests.core.builders import (
    CLUSTER,
    CP,
    HEALTHY_CP,
    NOON,
    WORKERS,
    deleting,
    down,
    machine,
    parameters,
    pool,
    snapshot,
)

STUCK = down("w-1", addresses=("10.0.0.1",))
OTHERS = (machine("w-2"), machine("w-3"))
LONG_BOOTED = int((NOON - timedelta(hours=2)).timestamp())
STEADY = Memory(started_at=NOON - timedelta(hours=1), steady=Streak(NOON - timedelta(minutes=5), 10))


def answer(one: Machine, boot_time: int = LONG_BOOTED) -> Answer:
    return Answer("10.0.0.9", one.node, "v1.12.4", boot_time, "running")


def rules(
    look: Snapshot | None = None, action: Action = Action.REBOOT, boot_time: int = LONG_BOOTED, **changes: object
) -> set[str]:
    look = look or snapshot(STUCK, *OTHERS, pools=(pool(CP), pool(WORKERS)))
    stuck = next(m for m in look.machines if m.name == "w-1")
    answers = Round(NOON, {m.uid: answer(m, boot_time) for m in look.machines}, {})
    told = parameters(maxRemediations="1", nodeName="management-1", **changes)
    rung = Rung(action, "", boot_time)
    found = objections(stuck, rung, look, STEADY, told, answers, (Scope.WORKERS,))
    return {finding.rule for finding in found}


def test_nothing_forbids_it_to_begin_with() -> None:
    assert rules() == set()
    assert rules(action=Action.DELETE) == set()


@pytest.mark.parametrize(
    ("machines", "rule"),
    [
        ((STUCK, down("w-2"), machine("w-3")), "R-others"),
        ((STUCK, deleting("w-2"), machine("w-3")), "R-deleting"),
        ((STUCK, machine("w-2")), "R-others"),
        ((STUCK, machine("w-2"), machine("w-3"), machine("w-4")), "R-others"),
    ],
    ids=["another-down", "another-deleting", "one-missing", "one-too-many"],
)
def test_nothing_else_may_be_away(machines: tuple[Machine, ...], rule: str) -> None:
    assert rules(snapshot(*machines)) == {rule}


def test_a_machine_that_booted_a_moment_ago_has_time() -> None:
    assert rules(boot_time=int((NOON - timedelta(minutes=29)).timestamp())) == {"R-stage"}
    assert rules(boot_time=int((NOON + timedelta(minutes=1)).timestamp())) == {"R-stage"}, "a clock that is ahead"


def test_a_stranger_is_never_touched() -> None:
    assert "R-foreign" in rules(snapshot(replace(STUCK, stranger="has no owner"), *OTHERS))


def test_a_stranger_with_the_control_planes_label_stops_everything() -> None:
    stranger = machine("cp-9", pool="", stranger="has no owner")
    assert rules(snapshot(STUCK, *OTHERS, *HEALTHY_CP, stranger)) == {"R-foreign"}


@pytest.mark.parametrize("seen", [Ready.FALSE, Ready.UNKNOWN])
def test_the_workload_api_must_be_in_sight(seen: Ready) -> None:
    look = snapshot(STUCK, *OTHERS, cluster=replace(CLUSTER, remote_connection=seen))
    assert rules(look) == {"R-sight"}


def test_no_delete_while_the_infrastructure_is_missing() -> None:
    look = snapshot(replace(STUCK, infrastructure_ready=False), *OTHERS)
    assert rules(look, Action.DELETE) == {"R-infrastructure"}
    assert rules(look) == set()


@pytest.mark.parametrize("why", sorted(set(Silence) - {Silence.UNREACHABLE}))
@pytest.mark.parametrize("action", Action)
def test_a_machine_that_answers_with_a_refusal_is_there(why: Silence, action: Action) -> None:
    """Only who gives no sign of life counts as unreachable; everybody else is somebody."""
    look = snapshot(STUCK, *OTHERS)
    answers = Round(NOON, {m.uid: answer(m) for m in OTHERS} | {STUCK.uid: Silent(why, "no")}, {})
    told = parameters(maxRemediations="1", nodeName="management-1")
    found = {f.rule for f in objections(STUCK, Rung(action, ""), look, STEADY, told, answers, (Scope.WORKERS,))}
    assert found == {"R-maintenance" if why is Silence.UNKNOWN_AUTHORITY else "R-silence"}


def test_a_cluster_that_goes_away_is_left_alone() -> None:
    assert rules(snapshot(STUCK, *OTHERS, cluster=replace(CLUSTER, deleting=True))) == {"R-deleting"}


def test_taking_evidence_away_never_allows_an_act() -> None:
    """S-10: every single answer that is missing, and every fact that is unknown, forbids it."""
    look = snapshot(STUCK, *OTHERS)
    full = {m.uid: answer(m) for m in look.machines if m.scope is WORKERS}
    silent = Silent(Silence.UNREACHABLE, "no answer")
    told = parameters(maxRemediations="1", nodeName="management-1")
    rung = Rung(Action.REBOOT, "", LONG_BOOTED)
    for uid in full:
        for less in ({**full, uid: silent}, {key: value for key, value in full.items() if key != uid}):
            found = objections(STUCK, rung, look, STEADY, told, Round(NOON, less, {}), (Scope.WORKERS,))
            assert list(found), f"without the answer of {uid}"
    unsteady = replace(STEADY, steady=None)
    assert list(objections(STUCK, rung, look, unsteady, told, Round(NOON, full, {}), (Scope.WORKERS,)))
