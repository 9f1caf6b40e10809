"""What must outlive a pod: the acts of all runs on one Cluster, how the last run ended, how far this one has come.

Frozen values; `guards.kube.lease` keeps them in the annotations of the Cluster's Lease.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from guards.core.memory import Memory
from guards.core.model import Snapshot

BUDGET_PERIOD = timedelta(hours=24)


class Action(StrEnum):
    REBOOT = "reboot"
    DELETE = "delete"


class State(StrEnum):
    """What is known of an act."""

    INTENDED = "intended"
    """Recorded before the call. After a crash: it may have been sent, or not."""
    SENT = "sent"
    """The call was answered with OK, which proves nothing yet."""
    UNKNOWN = "unknown"
    """The call was sent, and no answer came."""
    PROVEN = "proven"
    """Seen: a new boot time, a deletionTimestamp, or the Machine is gone."""
    NOT_BACK = "not come back"
    """A reboot, and the machine has not been reached since, for stuckAfter."""
    UNPROVEN = "unproven"
    """Looked for long enough, and nothing of it was seen. It is not repeated."""
    REFUSED = "refused"
    """The machine or the API server said no: nothing was done."""


OPEN = (State.INTENDED, State.SENT, State.UNKNOWN)
"""States in which the proof is still looked for."""


@dataclass(frozen=True, slots=True)
class Act:
    """One reboot or delete. Counted from the moment it is intended, whatever came of it."""

    action: Action
    machine: str
    uid: str
    at: datetime
    run: str
    """UID of the Workflow."""
    pool: str
    """UID of the machine's pool."""
    generation: int
    """The pool's, when the act was intended."""
    state: State
    boot_time: int = 0
    """Unix seconds before the reboot; 0 for a delete."""
    why: str = ""
    """The evidence, one line."""

    @property
    def open(self) -> bool:
        return self.state in OPEN

    def __str__(self) -> str:
        return f"{self.action} of {self.machine} at {self.at:%Y-%m-%d %H:%M:%S} UTC ({self.state})"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `exit` None: it began, and has not said how it ended."""

    run: str
    workflow: str
    """Name, for the message."""
    generations: Mapping[str, int]
    """Pool UID -> generation that the run has supervised last."""
    exit: int | None
    sentence: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Ledger:
    """All of it. Frozen: each change is a new one, that is written as a whole."""

    acts: tuple[Act, ...] = ()
    """Of all runs, the oldest first."""
    outcome: Outcome | None = None
    """Of the last run."""
    progress_run: str = ""
    """UID of the Workflow that `progress` belongs to."""
    progress_step: str = ""
    """Its step: each has a clock of its own."""
    progress: Memory | None = None


def with_act(ledger: Ledger, act: Act) -> Ledger:
    """The ledger with one more act; a machine that is rebooted twice, or deleted twice, is a bug."""
    assert not any(a.uid == act.uid and a.action is act.action for a in ledger.acts), f"S-5: second {act}"
    return replace(ledger, acts=(*ledger.acts, act))


def settled(ledger: Ledger, act: Act, state: State) -> Ledger:
    """The ledger with another state of this act."""
    changed = tuple(replace(a, state=state) if (a.uid, a.action) == (act.uid, act.action) else a for a in ledger.acts)
    return replace(ledger, acts=changed)


def act_on(ledger: Ledger, uid: str, action: Action) -> Act | None:
    return next((act for act in ledger.acts if act.uid == uid and act.action is action), None)


def open_act(ledger: Ledger) -> Act | None:
    return next((act for act in ledger.acts if act.open), None)


def spent(ledger: Ledger, snapshot: Snapshot) -> tuple[Act, ...]:
    """The acts that count against the budget now: those of the last 24 h, and those of the live generations."""
    live = {pool.uid: pool.generation for pool in snapshot.pools}
    since = snapshot.taken_at - BUDGET_PERIOD
    return tuple(act for act in ledger.acts if act.at > since or live.get(act.pool) == act.generation)


def pruned(ledger: Ledger, snapshot: Snapshot) -> Ledger:
    """Without the acts that can never matter again: their machine is gone, and no budget counts them."""
    kept = {*(m.uid for m in snapshot.machines)}
    counted = spent(ledger, snapshot)
    acts = tuple(act for act in ledger.acts if act.open or act.uid in kept or act in counted)
    return replace(ledger, acts=acts)


def withdrawn(ledger: Ledger, act: Act) -> Ledger:
    """The ledger without an act that was intended and certainly never sent."""
    assert act.state is State.INTENDED
    return replace(ledger, acts=tuple(a for a in ledger.acts if (a.uid, a.action) != (act.uid, act.action)))


def generations(snapshot: Snapshot) -> dict[str, int]:
    return {pool.uid: pool.generation for pool in snapshot.pools}
