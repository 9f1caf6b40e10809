"""What earlier looks taught, as one frozen value: `remember` folds a Snapshot into it and returns the next one.

A restarted pod begins with an empty Memory: everything here can be learned again from the cluster.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from guards.core.model import Machine, Pool, Ready, Snapshot
from guards.parameters import SCOPES, Scope

DARK_LIMIT = timedelta(seconds=60)
"""A machine that Cluster API cannot see keeps its last known value for so long, then it counts as not ready."""


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
class Memory:
    """See the module. All instants are `Snapshot.taken_at`."""

    started_at: datetime
    cluster_uid: str = ""
    known: Mapping[str, tuple[bool, datetime]] = field(default_factory=dict)
    """Machine UID -> (ready, when seen with our own eyes)."""
    available_at_last_good: frozenset[str] = frozenset()
    """UIDs of the machines that were available when the workload API was last in sight."""
    unreachable_since: datetime | None = None
    ranks: Mapping[str, tuple[str, Scope, int]] = field(default_factory=dict)
    """Machine UID -> (name, scope, highest milestone)."""
    progress: Mapping[Scope, Progress] = field(default_factory=dict)
    missing: Mapping[str, Streak] = field(default_factory=dict)
    """Budget -> looks in a row with more unexplained missing slots than allowed (G5)."""
    rolled: Mapping[Scope, Streak] = field(default_factory=dict)
    """Scope -> looks in a row in which everything was up to date and available."""
    pins: Mapping[str, Pool] = field(default_factory=dict)
    """Pool UID -> the pool at the first look, for changes of replicas or strategy in mid-run."""


MILESTONES = ("created", "infrastructure ready", "has a node", "Ready", "deleting")


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
    return memory.ranks.get(machine.uid, ("", machine.scope, 0))[2] >= MILESTONES.index("Ready")


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
    ranks, progress = _progress(memory, snapshot)
    return replace(
        after,
        cluster_uid=memory.cluster_uid or snapshot.cluster.uid,
        unreachable_since=(memory.unreachable_since or now) if lost_sight else None,
        ranks=ranks,
        progress=progress,
        pins={**{pool.uid: pool for pool in snapshot.pools}, **memory.pins},
    )


def _progress(memory: Memory, snapshot: Snapshot) -> tuple[dict[str, tuple[str, Scope, int]], dict[Scope, Progress]]:
    first = not memory.ranks and not memory.progress
    ranks = {
        m.uid: (m.name, m.scope, max(rank(m), memory.ranks.get(m.uid, ("", m.scope, 0))[2])) for m in snapshot.machines
    }
    progress = dict(memory.progress)
    for scope in SCOPES:
        if first:
            progress[scope] = Progress(memory.started_at, "the run began")
        elif reached := _reached(memory.ranks, ranks, scope):
            progress[scope] = Progress(snapshot.taken_at, reached)
    return ranks, progress


def _reached(
    before: Mapping[str, tuple[str, Scope, int]], after: Mapping[str, tuple[str, Scope, int]], scope: Scope
) -> str:
    """The milestones between two looks, in words; "" when there was none. Flapping is none: ranks only rise."""
    gone = [f"{name} is gone" for uid, (name, of, _) in before.items() if of is scope and uid not in after]
    new = [
        f"{name} {MILESTONES[reached]}"
        for uid, (name, of, reached) in after.items()
        if of is scope and (uid not in before or reached > before[uid][2])
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
