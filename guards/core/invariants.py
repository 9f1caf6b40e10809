"""Asserted right before every act, in production too. Each line is written apart from the code that decides.

A violated invariant is a bug of this program: nothing is done, and the run ends with exit 1.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from guards.core.evidence import Answer, Round
from guards.core.ledger import Act, Action, Ledger, State
from guards.core.model import Machine, Ready, Snapshot
from guards.core.remediation import Order, counting
from guards.parameters import Parameters, Remediate, Scope

EVIDENCE_AGE = timedelta(seconds=10)


class Violated(AssertionError):
    """Names the invariants and what was about to happen."""


def assert_before_act(
    order: Order, snapshot: Snapshot, answers: Round, ledger: Ledger, parameters: Parameters, cluster_uid: str
) -> None:
    """Raises Violated. `ledger`: as it is recorded, with the intent of this act in it."""
    broken = [*_invariants(order, snapshot, answers, ledger, parameters, cluster_uid)]
    if broken:
        raise Violated(f"{order.rung.action} of Machine {order.machine.name} would violate {'; '.join(broken)}")


def too_old(snapshot: Snapshot, answers: Round, now: datetime) -> bool:
    """S-1: evidence this old does not count, whatever it says."""
    return now - min(snapshot.taken_at, answers.begun_at) > EVIDENCE_AGE


def _invariants(
    order: Order, snapshot: Snapshot, answers: Round, ledger: Ledger, parameters: Parameters, cluster_uid: str
) -> Iterator[str]:
    machine, action = order.machine, order.rung.action
    scopes = counting(machine.scope, parameters)
    others = [m for m in snapshot.machines if m.scope in scopes and m.uid != machine.uid]
    intents = [act for act in ledger.acts if act.state is State.INTENDED]
    if not all(_is_well(m, answers) for m in others):
        yield "S-1 (another machine is not available, or does not answer)"
    peers = [m for m in others if m.scope is Scope.CONTROL_PLANE]
    if machine.scope is Scope.CONTROL_PLANE and len(peers) < 2:
        yield "S-2 (no two other control-plane machines)"
    if len(_counted(ledger, snapshot)) > parameters.max_remediations:
        yield "S-4 (more acts than maxRemediations)"
    if sum(act.uid == machine.uid and act.action is action for act in ledger.acts) != 1:
        yield "S-5 (not exactly one act of this kind on this Machine)"
    if machine.stranger or machine.paused or machine.deleting_since or snapshot.cluster.uid != cluster_uid:
        yield "S-6 (outside the acting scope)"
    if [(act.uid, act.action) for act in intents] != [(machine.uid, action)]:
        yield "S-8 (no recorded intent, or more than this one)"
    if not machine.uid or not machine.resource_version:
        yield "S-9 (no UID or resourceVersion for the preconditions)"
    if action is Action.DELETE and parameters.remediate is Remediate.REBOOT:
        yield "S-11 (remediate is reboot)"
    if not parameters.node_name or parameters.node_name == machine.node:
        yield "S-14 (the node this runs on)"
    if not order.why:
        yield "S-16 (no evidence named)"


def _counted(ledger: Ledger, snapshot: Snapshot) -> list[Act]:
    return [act for act in ledger.acts if snapshot.taken_at - act.at < timedelta(hours=24)]


def _is_well(machine: Machine, answers: Round) -> bool:
    ready = machine.deleting_since is None and machine.ready is Ready.TRUE
    return ready and isinstance(answers.machines.get(machine.uid), Answer)
