"""The two raw counts of the runbook, per budget, with the machines behind them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from guards.core.memory import Memory, is_available, is_ready, names, unreachable, was_ready
from guards.core.model import Machine, Snapshot
from guards.parameters import SCOPES, BudgetScope, Parameters, Scope


@dataclass(frozen=True, slots=True)
class Counts:
    """One budget at one look. `label` is a scope, or "cluster" when both scopes share the budget."""

    label: str
    slots: int
    available: tuple[Machine, ...]
    not_ready: tuple[Machine, ...]
    """Ready is not True, deleting ones included, strangers included."""
    deleting: tuple[Machine, ...]
    handover: Machine | None
    """G3: the new control-plane machine that is still starting while the next one is already deleting."""
    in_the_dark: tuple[Machine, ...]
    """G4: not ready only because the workload API is out of sight; were available at the last good look."""

    @property
    def missing(self) -> int:
        return max(0, self.slots - len(self.available))

    @property
    def explained(self) -> int:
        """How many of the not ready ones, or of the missing slots, G3 and G4 explain."""
        return len(self.in_the_dark) + (self.handover is not None)

    def line(self) -> str:
        return (
            f"{self.label}: {len(self.available)}/{self.slots} available, "
            f"deleting {len(self.deleting)} ({names(self.deleting)}), "
            f"notReady {len(self.not_ready)} ({names(self.not_ready)})"
        )


def covered(parameters: Parameters) -> tuple[Scope, ...]:
    """The scopes whose machines count in this run, in the order of waiting."""
    return tuple(scope for scope in SCOPES if parameters.covers(scope))


def budgets(snapshot: Snapshot, memory: Memory, parameters: Parameters) -> tuple[Counts, ...]:
    """One Counts per budget of this run."""
    scopes = covered(parameters)
    if parameters.budget_scope is BudgetScope.CLUSTER:
        return (_count("cluster", scopes, snapshot, memory, parameters),)
    return tuple(_count(str(scope), (scope,), snapshot, memory, parameters) for scope in scopes)


def _count(label: str, scopes: tuple[Scope, ...], snapshot: Snapshot, memory: Memory, parameters: Parameters) -> Counts:
    now = snapshot.taken_at
    machines = tuple(m for m in snapshot.machines if m.scope in scopes)
    not_ready = tuple(m for m in machines if not is_ready(m, memory, now))
    handover = None
    if Scope.CONTROL_PLANE in scopes:
        control_plane = tuple(m for m in machines if m.scope is Scope.CONTROL_PLANE)
        handover = _handover(control_plane, not_ready, memory, now, parameters)
    return Counts(
        label=label,
        slots=sum(pool.replicas for pool in snapshot.pools if pool.scope in scopes),
        available=tuple(m for m in machines if is_available(m, memory, now)),
        not_ready=not_ready,
        deleting=tuple(m for m in machines if m.deleting_since is not None),
        handover=handover,
        in_the_dark=tuple(_in_the_dark(snapshot, not_ready, memory)),
    )


def _handover(
    control_plane: tuple[Machine, ...],
    not_ready: tuple[Machine, ...],
    memory: Memory,
    now: datetime,
    parameters: Parameters,
) -> Machine | None:
    """The real provider deletes the next machine as soon as the new one has a node and etcd: it waits for no Ready.

    A machine that was Ready in this run and is not any more is not starting, it has failed.
    """
    deleting = [m for m in control_plane if m.deleting_since is not None]
    others = [m for m in not_ready if m.scope is Scope.CONTROL_PLANE and m.deleting_since is None]
    if len(deleting) != 1 or len(others) != 1:
        return None
    overlap = now - (deleting[0].deleting_since or now)
    new = others[0]
    starting = not new.stranger and not new.outdated and new.node and not was_ready(memory, new)
    return new if starting and overlap < parameters.handover_grace else None


def _in_the_dark(snapshot: Snapshot, not_ready: tuple[Machine, ...], memory: Memory) -> Iterator[Machine]:
    if unreachable(snapshot):
        for machine in not_ready:
            if machine.dark and machine.deleting_since is None and machine.uid in memory.available_at_last_good:
                yield machine


def overlap_ends_in(counts: Counts, now: datetime, grace: timedelta) -> timedelta | None:
    """How long the hand-over of these counts may still last; None when there is none."""
    since = [m.deleting_since for m in counts.deleting if m.scope is Scope.CONTROL_PLANE and m.deleting_since]
    return None if counts.handover is None or not since else max(timedelta(0), grace - (now - since[0]))
