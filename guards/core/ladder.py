"""Which act would be next for a stuck machine: a reboot, then a delete; or why there is none left."""

from dataclasses import dataclass

from guards.core.evidence import Answer, Round, Silence, Silent
from guards.core.ledger import Action, Ledger, State, act_on
from guards.core.memory import Memory
from guards.core.model import Machine, Snapshot
from guards.core.quorum import is_member
from guards.core.verdict import Finding
from guards.durations import format_duration
from guards.parameters import Parameters, Remediate, Scope


@dataclass(frozen=True, slots=True)
class Rung:
    """The next act on the ladder."""

    action: Action
    reason: str
    """Why the rung below is behind us; "" for a first reboot."""
    boot_time: int = 0
    """Unix seconds, before the reboot."""


def rung(
    machine: Machine, snapshot: Snapshot, memory: Memory, ledger: Ledger, parameters: Parameters, answers: Round
) -> Rung | Finding:
    """The next act for a machine that is stuck. A Finding: there is none, now and later in this run."""
    deleted, rebooted = (act_on(ledger, machine.uid, action) for action in (Action.DELETE, Action.REBOOT))
    if deleted is not None:
        return Finding("R-ladder", f"{deleted}: it is not repeated; look: {_describe(machine, snapshot)}")
    if rebooted is None:
        own = answers.machines.get(machine.uid)
        if isinstance(own, Answer):
            return Rung(Action.REBOOT, "", own.boot_time)
        since = memory.silent_since.get(machine.uid)
        if since is None or snapshot.taken_at - since < parameters.stuck_after:
            return Rung(Action.REBOOT, "")
        silent = format_duration(snapshot.taken_at - since)
        return _delete(machine, snapshot, parameters, answers, f"cannot be rebooted: unreachable for {silent}")
    if rebooted.state not in (State.PROVEN, State.NOT_BACK):
        return Finding("R-ladder", f"{rebooted}: it is not repeated; look: {_describe(machine, snapshot)}")
    return _delete(machine, snapshot, parameters, answers, f"{rebooted} did not heal it")


def _delete(
    machine: Machine, snapshot: Snapshot, parameters: Parameters, answers: Round, reason: str
) -> Rung | Finding:
    if parameters.remediate is Remediate.REBOOT:
        return Finding(
            "R-ladder",
            f"{reason}, and remediate is reboot: a Machine is never deleted; look: {_describe(machine, snapshot)}",
        )
    if machine.outdated and not left_etcd(machine, snapshot, answers):
        return Finding(
            "R-ladder",
            f"{reason}, and it is outdated ({machine.outdated[0]}): its replacement might be built from the old "
            f"template again, its own controller has to take it; look: {_describe(machine, snapshot)}",
        )
    return Rung(Action.DELETE, reason)


def left_etcd(machine: Machine, snapshot: Snapshot, answers: Round) -> bool:
    """Proven: a control-plane machine that is no member any more; it is of no use to anybody, whatever its version."""
    if machine.scope is not Scope.CONTROL_PLANE:
        return False
    others = [m for m in snapshot.machines_of(Scope.CONTROL_PLANE) if m.uid != machine.uid]
    return is_member(machine, others, answers.etcd) is False


def _describe(machine: Machine, snapshot: Snapshot) -> str:
    return f"kubectl -n {snapshot.cluster.namespace} describe machine {machine.name}"


def is_maintenance(answer: Answer | Silent | None) -> bool:
    """Its certificate is not the cluster's: wiped and waiting for a configuration, or somebody else's machine."""
    return isinstance(answer, Silent) and answer.why is Silence.UNKNOWN_AUTHORITY
