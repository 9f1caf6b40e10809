"""Everything that forbids an act now. Each check yields findings; none of them = the act is allowed.

Monotone: taking evidence away can only add findings (S-10).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from guards.core.evidence import Answer, Round, Silence, Silent
from guards.core.ladder import Rung, is_maintenance
from guards.core.ledger import Action
from guards.core.memory import Memory, is_available, names
from guards.core.model import Machine, Ready, Snapshot
from guards.core.quorum import same_host, why_not_delete, why_not_reboot
from guards.core.refusals import paused
from guards.core.verdict import Finding
from guards.durations import format_duration
from guards.parameters import Parameters, Scope

STEADY_LOOKS = 3
STEADY_PERIOD = timedelta(seconds=60)
"""The API servers must have been in sight for so many looks over so long: after an outage everything looks down."""

WORKING_STAGES = ("booting", "running")
"""Talos stages in which a machine may be taken. In every other one it is busy with something that must not be cut."""


@dataclass(frozen=True, slots=True)
class Case:
    """What all checks look at."""

    machine: Machine
    rung: Rung
    snapshot: Snapshot
    memory: Memory
    parameters: Parameters
    answers: Round
    others: tuple[Machine, ...]
    """All other machines that share a budget with this one, deleting ones included."""
    slots: int

    @property
    def own(self) -> Answer | Silent | None:
        return self.answers.machines.get(self.machine.uid)


def objections(
    machine: Machine,
    rung: Rung,
    snapshot: Snapshot,
    memory: Memory,
    parameters: Parameters,
    answers: Round,
    counting: tuple[Scope, ...],
) -> Iterator[Finding]:
    """What forbids this act on this machine, in the order in which a person would look."""
    machines = [m for scope in counting for m in snapshot.machines_of(scope)]
    others = tuple(m for m in machines if m.uid != machine.uid)
    slots = sum(pool.replicas for scope in counting for pool in snapshot.pools_of(scope))
    case = Case(machine, rung, snapshot, memory, parameters, answers, others, slots)
    for check in CHECKS:
        yield from check(case)


def _marks(case: Case) -> Iterator[Finding]:
    machine, cluster = case.machine, case.snapshot.cluster
    if machine.stranger:
        yield Finding("R-foreign", f"it {machine.stranger}")
    foreign = [m for m in case.snapshot.machines_of(Scope.CONTROL_PLANE) if m.stranger]
    if foreign and case.parameters.covers(Scope.CONTROL_PLANE):  # else its owner was not read
        yield Finding(
            "R-foreign", f"{names(foreign)} carries the control plane's label and is none of it: the provider counts it"
        )
    for why in machine.hands_off:
        yield Finding("R-hands-off", why)
    for what in paused(case.snapshot, case.parameters):
        yield Finding("R-paused", f"{what} is paused: nothing would be replaced")
    if cluster.hold is not None:
        yield Finding("R-hold", f"Cluster {cluster.name} is held: {cluster.hold!r}")
    if cluster.deleting:
        yield Finding("R-deleting", f"Cluster {cluster.name} is being deleted")
    if machine.uid in case.memory.down_before:
        yield Finding("R-before", "it was down before this run began: nobody was rolling it")


def _own_node(case: Case) -> Iterator[Finding]:
    ours = case.parameters.node_name
    if not ours or same_host(ours, case.machine.node):
        yield Finding("R-own-node", f"this step itself runs on node {ours or '(unknown)'}")


def _neighbours(case: Case) -> Iterator[Finding]:
    """S-1: nothing else is away, and nothing is missing."""
    now = case.snapshot.taken_at
    deleting = [m for m in (*case.others, case.machine) if m.deleting_since is not None]
    if deleting:
        reasons = "; ".join(f"{m.name}: {m.deletion or 'just begun'}" for m in deleting)
        yield Finding("R-deleting", f"a machine is being deleted ({reasons}): one at a time")
    down = [m for m in case.others if m.deleting_since is None and not is_available(m, case.memory, now)]
    if down:
        yield Finding("R-others", f"{names(down)} is down too")
    if len(case.others) + 1 != case.slots:
        yield Finding("R-others", f"there are {len(case.others) + 1} machines for {case.slots} slots")


def _sight(case: Case) -> Iterator[Finding]:
    cluster, steady = case.snapshot.cluster, case.memory.steady
    if cluster.remote_connection is not Ready.TRUE:
        why = cluster.remote_connection_message or "no such condition"
        yield Finding("R-sight", f"RemoteConnectionProbe is {cluster.remote_connection} ({why}), must be True")
    if steady is None or not steady.lasted(case.snapshot.taken_at, STEADY_LOOKS, STEADY_PERIOD):
        yield Finding("R-sight", f"the clusters have been in sight for less than {format_duration(STEADY_PERIOD)}")


def _answers(case: Case) -> Iterator[Finding]:
    """Every other machine says itself, in this very round, that it is there; under its own name."""
    for machine in case.others:
        answer = case.answers.machines.get(machine.uid)
        if not isinstance(answer, Answer):
            yield Finding("R-silence", f"{machine.name} does not answer: {answer.text if answer else 'not asked'}")
        elif not same_host(machine.node, answer.hostname):
            yield Finding(
                "R-identity",
                f"at {answer.address} answers {answer.hostname}, expected {machine.node} of {machine.name}",
            )


def _target(case: Case) -> Iterator[Finding]:
    own = case.own
    if is_maintenance(own):
        assert isinstance(own, Silent)
        yield Finding("R-maintenance", f"{own.text}: no reboot and no delete can help, and neither is tried insecurely")
    elif isinstance(own, Answer):
        yield from _identity(case, own)
        yield from _stage(case, own)
    elif isinstance(own, Silent) and own.why is not Silence.UNREACHABLE and case.machine.addresses:
        yield Finding("R-silence", f"its own answer is no answer: {own.text}")
    elif case.rung.action is Action.REBOOT:
        since = case.memory.silent_since.get(case.machine.uid, case.snapshot.taken_at)
        until = since + case.parameters.stuck_after
        text = own.text if own else "it was not asked"
        yield Finding("R-silence", f"{text}; counts as a reboot that failed at {until:%H:%M:%S} UTC")
    if case.rung.action is Action.DELETE and not case.machine.infrastructure_ready:
        yield Finding("R-infrastructure", "its infrastructure is not ready: a new one would wait for the same server")


def _identity(case: Case, own: Answer) -> Iterator[Finding]:
    if case.machine.node and not same_host(case.machine.node, own.hostname):
        yield Finding("R-identity", f"at {own.address} answers {own.hostname}, expected {case.machine.node}")
    for other in case.snapshot.machines:
        if other.uid != case.machine.uid and same_host(other.node, own.hostname):
            yield Finding("R-identity", f"at {own.address} answers {own.hostname}, the node of {other.name}")


def _stage(case: Case, own: Answer) -> Iterator[Finding]:
    if own.stage not in WORKING_STAGES:
        yield Finding("R-stage", f"Talos is in stage {own.stage}, must be {' or '.join(WORKING_STAGES)}")
    age = case.snapshot.taken_at - datetime.fromtimestamp(own.boot_time, UTC)
    if age < case.parameters.stuck_after:
        yield Finding(
            "R-stage",
            f"it booted {format_duration(age)} ago: it has until stuckAfter "
            f"({format_duration(case.parameters.stuck_after)}) to come up",
        )


def _etcd(case: Case) -> Iterator[Finding]:
    if case.machine.scope is not Scope.CONTROL_PLANE:
        return
    others = [m for m in case.others if m.scope is Scope.CONTROL_PLANE]
    why_not = why_not_reboot if case.rung.action is Action.REBOOT else why_not_delete
    yield from why_not(case.machine, others, case.answers.etcd)


CHECKS: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    _marks,
    _own_node,
    _neighbours,
    _sight,
    _answers,
    _target,
    _etcd,
)
