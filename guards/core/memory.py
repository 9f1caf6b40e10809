"""What earlier looks taught, as one frozen value: `remember` folds a Snapshot into it and returns the next one.

A restarted pod takes up the part that cannot be learned again from the cluster (`guards.core.ledger`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from guards.core.model import Machine, Pool, Ready, Snapshot
from guards.parameters import SCOPES, Scope

DARK_LIMIT = timedelta(seconds=60)
"""A machine that Cluster API cannot see keeps its last known value for so long, then it counts as not ready."""


GAP = timedelta(minutes=2)
"""Two looks further apart: one of the API servers was away in between."""


@dataclass(frozen=True, slots=True)
class Streak:
    """The same observation, look after look."""

    since: datetime
    looks: int

    def lasted(self, now: datetime, looks: int, period: timedelta) -> bool:
        return self.looks >= looks and now - self.since >= period


@dataclass(frozen=True, slots=True)
class Progress:
    """The latest milestone of a scope: when, and what."""

    at: datetime
    what: str


@dataclass(frozen=True, slots=True)
class Milestone:
    """The highest milestone of one machine, and since when it has it."""

    name: str
    scope: Scope
    rank: int
    """Index into MILESTONES."""
    at: datetime


@dataclass(frozen=True, slots=True)
class Memory:
    """See the module. All instants are `Snapshot.taken_at`."""

    started_at: datetime
    cluster_uid: str = ""
    known: Mapping[str, tuple[bool, datetime]] = field(default_factory=dict)
    """Machine UID -> (ready, when seen with our own eyes)."""
    available_at_last_good: frozenset[str] = frozenset()
    """UIDs of the machines that were available when the workload API was last in sight."""
    unreachable_since: datetime | None = None
    milestones: Mapping[str, Milestone] = field(default_factory=dict)
    """By Machine UID."""
    down_since: Mapping[str, datetime] = field(default_factory=dict)
    """Machine UID -> first of the looks in a row in which it was not available."""
    down_before: frozenset[str] = frozenset()
    """UIDs of machines that were down at the first look of the run and were not just starting."""
    silent_since: Mapping[str, datetime] = field(default_factory=dict)
    """Machine UID -> first of the rounds in a row in which its Talos API was not reached."""
    steady: Streak | None = None
    """Looks in a row without a gap: before an act, the API servers must have been in sight for a while."""
    looked_at: datetime | None = None
    progress: Mapping[Scope, Progress] = field(default_factory=dict)
    missing: Mapping[str, Streak] = field(default_factory=dict)
    """Budget -> looks in a row with more unexplained missing slots than allowed (G5)."""
    rolled: Mapping[Scope, Streak] = field(default_factory=dict)
    """Scope -> looks in a row in which everything was up to date and available."""
    pins: Mapping[str, Pool] = field(default_factory=dict)
    """Pool UID -> the pool at the first look, for changes of replicas or strategy in mid-run."""


MILESTONES = ("created", "infrastructure ready", "has a node", "Ready", "deleting")
READY = MILESTONES.index("Ready")


def rank(machine: Machine) -> int:
    """Index into MILESTONES of the last one this machine has reached."""
    if machine.deleting_since is not None:
        return 4
    if machine.ready is Ready.TRUE:
        return 3
    if machine.node:
        return 2
    return 1 if machine.infrastructure_ready else 0


def was_ready(memory: Memory, machine: Machine) -> bool:
    """Whether an earlier look of this run saw it Ready."""
    reached = memory.milestones.get(machine.uid)
    return reached is not None and reached.rank >= READY


def durable(memory: Memory) -> Memory:
    """The part that a restarted pod could not learn again: of machines only those that are down, or on their way."""
    unsettled = {uid: one for uid, one in memory.milestones.items() if one.rank != READY or uid in memory.down_since}
    return Memory(
        started_at=memory.started_at,
        cluster_uid=memory.cluster_uid,
        milestones=unsettled,
        down_since=memory.down_since,
        down_before=memory.down_before,
        silent_since=memory.silent_since,
        progress=memory.progress,
        pins=memory.pins,
    )


def acted(memory: Memory, scope: Scope, now: datetime, what: str) -> Memory:
    """An act of ours is progress: what it does takes as long as any other milestone."""
    return replace(memory, progress={**memory.progress, scope: Progress(now, what)})


def unreachable(snapshot: Snapshot) -> bool:
    """G4: the workload API is out of sight, so what is said about Nodes is not known."""
    if snapshot.cluster.remote_connection is Ready.FALSE:
        return True
    with_node = [m for m in snapshot.machines if m.node and m.deleting_since is None]
    return bool(with_node) and all(machine.connection_down for machine in with_node)


def is_ready(machine: Machine, memory: Memory, now: datetime) -> bool:
    """Ready is True, or was so at most DARK_LIMIT ago when Cluster API last saw the Node."""
    if machine.dark:
        was_ready, seen_at = memory.known.get(machine.uid, (False, now))
        return was_ready and now - seen_at <= DARK_LIMIT
    return machine.ready is Ready.TRUE


def is_available(machine: Machine, memory: Memory, now: datetime) -> bool:
    return machine.deleting_since is None and not machine.stranger and is_ready(machine, memory, now)


def remember(memory: Memory, snapshot: Snapshot) -> Memory:
    """The Memory after this look. Streaks are kept by `decide`, which knows what they are about."""
    now = snapshot.taken_at
    known = {
        m.uid: memory.known[m.uid] if m.dark and m.uid in memory.known else (not m.dark and m.ready is Ready.TRUE, now)
        for m in snapshot.machines
    }
    lost_sight = unreachable(snapshot)
    after = replace(memory, known=known)
    if not lost_sight:
        good = frozenset(m.uid for m in snapshot.machines if is_available(m, after, now))
        after = replace(after, available_at_last_good=good)
    milestones, progress = _progress(memory, snapshot)
    down = [m.uid for m in snapshot.machines if not is_available(m, after, now)]
    return replace(
        after,
        cluster_uid=memory.cluster_uid or snapshot.cluster.uid,
        unreachable_since=(memory.unreachable_since or now) if lost_sight else None,
        milestones=milestones,
        down_since={uid: memory.down_since.get(uid, now) for uid in down},
        silent_since={uid: at for uid, at in memory.silent_since.items() if uid in down},
        steady=_steady(memory, now) if not lost_sight else None,
        looked_at=now,
        progress=progress,
        pins={**{pool.uid: pool for pool in snapshot.pools}, **memory.pins},
    )


def _steady(memory: Memory, now: datetime) -> Streak:
    if memory.steady is None or memory.looked_at is None or now - memory.looked_at > GAP:
        return Streak(now, 1)
    return replace(memory.steady, looks=memory.steady.looks + 1)


def _progress(memory: Memory, snapshot: Snapshot) -> tuple[dict[str, Milestone], dict[Scope, Progress]]:
    milestones = {m.uid: _milestone(memory.milestones.get(m.uid), m, snapshot.taken_at) for m in snapshot.machines}
    progress = dict(memory.progress)
    resumed = not memory.known  # the first look of a pod that took up an earlier one's progress
    for scope in SCOPES:
        if scope not in progress:
            progress[scope] = Progress(memory.started_at, "the run began")
        elif reached := _reached(memory.milestones, milestones, scope, resumed=resumed):
            progress[scope] = Progress(snapshot.taken_at, reached)
    return milestones, progress


def _milestone(before: Milestone | None, machine: Machine, now: datetime) -> Milestone:
    reached = rank(machine)
    if before is not None and before.rank >= reached:
        return before
    return Milestone(machine.name, machine.scope, reached, now)


def _reached(before: Mapping[str, Milestone], after: Mapping[str, Milestone], scope: Scope, *, resumed: bool) -> str:
    """The milestones between two looks, in words; "" when there was none. Flapping is none: ranks only rise.

    A Ready machine that a resumed memory does not know was Ready before: only the others are kept (`durable`).
    """
    gone = [f"{one.name} is gone" for uid, one in before.items() if one.scope is scope and uid not in after]
    new = [
        f"{one.name} {MILESTONES[one.rank]}"
        for uid, one in after.items()
        if one.scope is scope
        and (one.rank > before[uid].rank if uid in before else not (resumed and one.rank == READY))
    ]
    return ", ".join([*gone, *new])


Key = TypeVar("Key", bound=str)


def continued(streaks: Mapping[Key, Streak], key: Key, holds: bool, now: datetime) -> dict[Key, Streak]:
    """`streaks` with the one of `key` lengthened, begun, or ended."""
    rest = {k: streak for k, streak in streaks.items() if k != key}
    if holds:
        before = streaks.get(key)
        rest[key] = Streak(before.since, before.looks + 1) if before else Streak(now, 1)
    return rest


def names(machines: Iterable[Machine]) -> str:
    """`a, b, c`, or "none"; more than 8 are counted, not named."""
    listed = [machine.name for machine in machines]
    more = f" and {len(listed) - 8} more" if len(listed) > 8 else ""
    return ", ".join(listed[:8]) + more if listed else "none"
