"""Whether a stuck machine may be touched, and how: reboot first, delete only what a reboot did not heal.

Three questions, each in its own function: who is stuck (`candidate`), what would be next for it (`core.ladder`), and
what forbids it (`core.proof`). No evidence, old evidence or a doubt is a reason to wait, never a reason to act.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from guards.core.evidence import Answer, Round, Silence, Silent, Target
from guards.core.ladder import Rung, rung
from guards.core.ledger import Act, Action, Ledger, State, open_act, spent
from guards.core.memory import MILESTONES, Memory, is_available
from guards.core.model import Machine, Snapshot
from guards.core.proof import objections
from guards.core.verdict import Finding
from guards.durations import format_duration
from guards.parameters import SCOPES, BudgetScope, Parameters, Scope

PROOF_PERIOD = timedelta(minutes=5)
"""So long the effect of an act is looked for; a machine that has not rebooted by then did not get the message."""


@dataclass(frozen=True, slots=True)
class Order:
    """One act that nothing forbids."""

    rung: Rung
    machine: Machine
    why: str
    """The evidence, one line (S-16)."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do about the machines of a scope at one look."""

    order: Order | None = None
    findings: tuple[Finding, ...] = ()
    exhausted: bool = False
    """Nothing that this run may still do can help: it ends with the findings."""


NOTHING = Advice()


def suspects(snapshot: Snapshot, memory: Memory, scope: Scope) -> tuple[Machine, ...]:
    """Machines of the scope that are down and not on their way out: whether they answer is worth knowing."""
    now = snapshot.taken_at
    return tuple(
        m for m in snapshot.machines_of(scope) if m.deleting_since is None and not is_available(m, memory, now)
    )


def counting(scope: Scope, parameters: Parameters) -> tuple[Scope, ...]:
    """The scopes that share a budget with this one: everything else in them must be well before an act."""
    shared = parameters.budget_scope is BudgetScope.CLUSTER and parameters.scope is Scope.ALL
    return SCOPES if shared else (scope,)


def targets(snapshot: Snapshot, scope: Scope, parameters: Parameters) -> tuple[Target, ...]:
    """Everybody who has to be asked before an act in `scope`."""
    return tuple(
        Target(m.uid, m.name, m.node, m.addresses, m.scope is Scope.CONTROL_PLANE)
        for each in counting(scope, parameters)
        for m in snapshot.machines_of(each)
    )


def heard(memory: Memory, answers: Round, watched: tuple[Machine, ...], now: datetime) -> Memory:
    """`memory` after a round: since when each of the `watched` machines has not been reached."""
    silent = [m.uid for m in watched if is_unreachable(m, answers.machines.get(m.uid))]
    return replace(memory, silent_since={uid: memory.silent_since.get(uid, now) for uid in silent})


def is_unreachable(machine: Machine, answer: Answer | Silent | None) -> bool:
    """Nobody there, as far as the network tells. A wrong certificate or a refusal is somebody."""
    if not machine.addresses:
        return True
    return isinstance(answer, Silent) and answer.why is Silence.UNREACHABLE


def stuck_since(machine: Machine, memory: Memory, ledger: Ledger) -> datetime:
    """The latest instant at which something happened to a machine that is down: milestone, failure, act of ours."""
    acts = [act.at for act in ledger.acts if act.uid == machine.uid]
    return max(memory.milestones[machine.uid].at, memory.down_since[machine.uid], *acts)


def candidate(
    snapshot: Snapshot, memory: Memory, ledger: Ledger, parameters: Parameters, scope: Scope
) -> Machine | None:
    """The first machine of the scope that has been down for stuckAfter without a milestone."""
    for machine in suspects(snapshot, memory, scope):
        if snapshot.taken_at - stuck_since(machine, memory, ledger) >= parameters.stuck_after:
            return machine
    return None


def proof_of(act: Act, snapshot: Snapshot, memory: Memory, parameters: Parameters, answers: Round) -> State:
    """What is known of an open act at this look."""
    now = snapshot.taken_at
    machine = next((m for m in snapshot.machines if m.uid == act.uid), None)
    own = answers.machines.get(act.uid)
    if act.action is Action.DELETE:
        if machine is None or machine.deleting_since is not None:
            return State.PROVEN
        return State.UNPROVEN if now - act.at >= PROOF_PERIOD else act.state
    if isinstance(own, Answer) and own.boot_time > act.boot_time:
        return State.PROVEN
    if machine is None or (isinstance(own, Answer) and now - act.at >= PROOF_PERIOD):
        return State.UNPROVEN
    silent = memory.silent_since.get(act.uid)
    return State.NOT_BACK if silent and now - silent >= parameters.stuck_after else act.state


def advise(
    snapshot: Snapshot, memory: Memory, ledger: Ledger, parameters: Parameters, scope: Scope, answers: Round
) -> Advice:
    """The judgement of one look and one round. Runs after both went into `memory`."""
    pending = open_act(ledger)
    if pending is not None:
        return Advice(findings=(Finding("act", f"{pending}: waiting for the proof of it"),))
    stuck = candidate(snapshot, memory, ledger, parameters, scope)
    if stuck is None:
        return NOTHING
    next_rung = rung(stuck, snapshot, memory, ledger, parameters, answers)
    if isinstance(next_rung, Finding):
        return Advice(findings=(_about(stuck, memory, ledger, next_rung),), exhausted=True)
    if over := list(_budget(snapshot, ledger, parameters)):
        return Advice(findings=tuple(_about(stuck, memory, ledger, one) for one in over), exhausted=True)
    against = [*objections(stuck, next_rung, snapshot, memory, parameters, answers, counting(scope, parameters))]
    if against:
        return Advice(findings=tuple(_about(stuck, memory, ledger, one) for one in against))
    return Advice(Order(next_rung, stuck, evidence(stuck, next_rung, snapshot, memory, ledger, answers)))


def _budget(snapshot: Snapshot, ledger: Ledger, parameters: Parameters) -> Iterator[Finding]:
    gone = spent(ledger, snapshot)
    if len(gone) >= parameters.max_remediations:
        told = "; ".join(str(act) for act in gone[-3:])
        yield Finding(
            "R-budget",
            f"maxRemediations is {parameters.max_remediations} per generation and in 24 h, {len(gone)} done ({told}); "
            "look after it by hand",
        )


def _about(machine: Machine, memory: Memory, ledger: Ledger, finding: Finding) -> Finding:
    since = stuck_since(machine, memory, ledger)
    return Finding(
        finding.rule,
        f"Machine {machine.name} is stuck since {since:%H:%M:%S} UTC (last: {_last(machine, memory)}), "
        f"not touched: {finding.text}",
    )


def _last(machine: Machine, memory: Memory) -> str:
    return MILESTONES[memory.milestones[machine.uid].rank]


def evidence(machine: Machine, what: Rung, snapshot: Snapshot, memory: Memory, ledger: Ledger, answers: Round) -> str:
    """One line: object, UID, resourceVersion, for how long, what its neighbours said, and how old all this is."""
    since = format_duration(snapshot.taken_at - stuck_since(machine, memory, ledger))
    own = answers.machines.get(machine.uid)
    talos = f"stage {own.stage}, booted at {_instant(own.boot_time)}" if isinstance(own, Answer) else "no answer"
    others = [uid for uid, answer in answers.machines.items() if uid != machine.uid and isinstance(answer, Answer)]
    members = [uid for uid, view in answers.etcd.items() if uid != machine.uid and not isinstance(view, Silent)]
    quorum = f", etcd proven by {len(members)} members" if members else ""
    before = f"{what.reason}; " if what.reason else ""
    return (
        f"{before}no milestone for {since} (last: {_last(machine, memory)}), Talos: {talos}; {len(others)} others "
        f"available and answering{quorum}; UID {machine.uid}, resourceVersion {machine.resource_version}, seen at "
        f"{snapshot.taken_at:%H:%M:%S} UTC"
    )


def _instant(unix: int) -> str:
    return f"{datetime.fromtimestamp(unix, UTC):%Y-%m-%d %H:%M:%S} UTC"
