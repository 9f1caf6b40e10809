"""Which act comes next, on facts alone."""

from dataclasses import replace
from datetime import timedelta

import pytest

from guards.core.evidence import Answer, EtcdView, Member, Round, Silence, Silent
from guards.core.ladder import Rung, rung
from guards.core.ledger import Act, Action, Ledger, State
from guards.core.memory import Memory, Milestone
from guards.core.model import Machine
from guards.core.remediation import advise, stuck_since
from guards.core.verdict import Finding
from tests.core.builders import LONG_AGO, NOON, down, machine, old, parameters, snapshot

HOUR = timedelta(hours=1)
SILENT = Silent(Silence.UNREACHABLE, "10.0.0.1: no answer")


def done(target: Machine, state: State = State.PROVEN, action: Action = Action.REBOOT) -> Ledger:
    act = Act(action, target.name, target.uid, NOON - HOUR, "run-1", "uid-pool", 1, state, 5, "")
    return Ledger(acts=(act,))


def next_for(target: Machine, ledger: Ledger, etcd: dict[str, EtcdView | Silent] | None = None) -> Rung | Finding:
    look = snapshot(target, *(m for m in (machine("cp-2"), machine("cp-3")) if target.name.startswith("cp-")))
    memory = Memory(started_at=NOON - HOUR, silent_since={target.uid: NOON - HOUR})
    return rung(target, look, memory, ledger, parameters(), Round(NOON, {target.uid: SILENT}, etcd or {}))


def test_after_a_reboot_in_vain_comes_the_delete() -> None:
    found = next_for(down("w-1"), done(down("w-1")))
    assert isinstance(found, Rung)
    assert found.action is Action.DELETE


@pytest.mark.parametrize("ledger", [Ledger(), done(down("w-1"))], ids=["unreachable", "rebooted"])
def test_an_outdated_machine_is_never_deleted(ledger: Ledger) -> None:
    found = next_for(old("w-1"), ledger)
    assert isinstance(found, Finding)
    assert "it is outdated (version v1.35.0, wanted v1.35.1)" in found.text


def test_an_outdated_control_plane_machine_that_left_etcd_may_go() -> None:
    members = (Member(2, "node-cp-2", learner=False), Member(3, "node-cp-3", learner=False))
    etcd: dict[str, EtcdView | Silent] = {
        f"uid-cp-{number}": EtcdView(number, 2, learner=False, errors=(), alarms=(), members=members)
        for number in (2, 3)
    }
    found = next_for(old("cp-1"), done(old("cp-1")), etcd)
    assert isinstance(found, Rung)
    assert found.action is Action.DELETE
    assert isinstance(next_for(old("cp-1"), done(old("cp-1")), {**etcd, "uid-cp-3": SILENT}), Finding)


@pytest.mark.parametrize("action", Action)
def test_nothing_is_done_twice(action: Action) -> None:
    found = next_for(down("w-1"), done(down("w-1"), State.UNPROVEN, action))
    assert isinstance(found, Finding)
    assert "it is not repeated" in found.text


def test_who_answers_is_rebooted_at_the_address_that_answered() -> None:
    target = down("w-1")
    answers = Round(NOON, {target.uid: Answer("10.0.0.7", "node-w-1", "v1.12.4", 42, "running")}, {})
    memory = Memory(started_at=NOON - HOUR)
    found = rung(target, snapshot(target), memory, Ledger(), parameters(), answers)
    assert found == Rung(Action.REBOOT, "", 42)


def test_an_act_gives_the_machine_its_time_again() -> None:
    target = down("w-1")
    memory = Memory(
        started_at=LONG_AGO,
        milestones={target.uid: Milestone("w-1", target.scope, 2, NOON - 3 * HOUR)},
        down_since={target.uid: NOON - 4 * HOUR},
    )
    assert stuck_since(target, memory, Ledger()) == NOON - 3 * HOUR
    assert stuck_since(target, replace(memory, down_since={target.uid: NOON - 2 * HOUR}), Ledger()) == NOON - 2 * HOUR
    assert stuck_since(target, memory, done(target)) == NOON - HOUR


def test_while_an_act_is_open_nothing_else_is_done() -> None:
    """Also when it is about another machine: what comes of it decides what is safe."""
    target = down("w-1")
    memory = Memory(
        started_at=LONG_AGO,
        milestones={target.uid: Milestone("w-1", target.scope, 2, NOON - 3 * HOUR)},
        down_since={target.uid: NOON - 3 * HOUR},
    )
    told = parameters(maxRemediations="9")
    none = Round(NOON, {}, {})
    free = advise(snapshot(target), memory, Ledger(), told, target.scope, none)
    assert free.findings
    assert all(finding.rule.startswith("R-") for finding in free.findings)
    pending = advise(snapshot(target), memory, done(down("w-9"), State.SENT), told, target.scope, none)
    assert [finding.rule for finding in pending.findings] == ["act"]
    assert pending.order is None
