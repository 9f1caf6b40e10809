""" "Up to date" and "done", decided on Machines, MachineSets and TalosConfigs, never on status counters."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from guards.core.memory import Memory, is_available
from guards.core.model import Machine, Pool, Snapshot
from guards.parameters import Scope

STABLE_LOOKS = 3
STABLE_PERIOD = timedelta(seconds=30)
"""Done must hold for so many looks over so long: conditions flap, and controllers report before they are through."""


def outdated(snapshot: Snapshot, pool: Pool) -> tuple[Machine, ...]:
    """Machines of the pool that the controller will replace and has not begun to delete."""
    return tuple(m for m in snapshot.machines_in(pool) if m.outdated and m.deleting_since is None)


def is_outdated(snapshot: Snapshot, pool: Pool) -> bool:
    return bool(pool.unfinished or outdated(snapshot, pool))


def unfinished(snapshot: Snapshot, memory: Memory, scopes: Iterable[Scope]) -> list[str]:
    """Everything that keeps the scopes from being done, in words; empty = done at this look.

    A scope without pools is never done: nothing is not everything.
    """
    reasons = []
    for scope in scopes:
        pools = snapshot.pools_of(scope)
        if not pools:
            reasons.append(f"{scope}: there is no pool to look at")
        for pool in pools:
            if found := _pool(snapshot, memory, pool):
                reasons.append(f"{pool.kind} {pool.name}: {', '.join(found)}")
    return reasons


def _pool(snapshot: Snapshot, memory: Memory, pool: Pool) -> list[str]:
    machines = snapshot.machines_in(pool)
    deleting = [m for m in machines if m.deleting_since is not None]
    living = [m for m in machines if m.deleting_since is None]
    down = [m for m in living if not is_available(m, memory, snapshot.taken_at)]
    old = outdated(snapshot, pool)
    reasons = []
    if deleting:
        reasons.append(f"{len(deleting)} deleting ({_few(_why_deleting(m) for m in deleting)})")
    if down:
        reasons.append(f"{len(down)} not Ready ({_few(_why_down(m) for m in down)})")
    if len(machines) != pool.replicas:
        reasons.append(f"{len(machines)} machines of {pool.replicas}")
    if old:
        reasons.append(f"{len(old)} outdated ({_few(m.name for m in old)})")
    return reasons or list(pool.unfinished)  # an older MachineSet is old news while its machines are told


def _few(texts: Iterable[str]) -> str:
    listed = list(texts)
    return ", ".join(listed[:4]) + (f" and {len(listed) - 4} more" if len(listed) > 4 else "")


def _why_deleting(machine: Machine) -> str:
    return f"{machine.name}: {machine.deletion}" if machine.deletion else machine.name


def _why_down(machine: Machine) -> str:
    if not machine.infrastructure_ready:
        return f"{machine.name}: waiting for infrastructure"
    if not machine.node:
        return f"{machine.name}: no node yet"
    return f"{machine.name}: {machine.ready_reason or 'no condition Ready yet'}"


def newest_transition(snapshot: Snapshot, scopes: Iterable[Scope]) -> datetime | None:
    """The latest instant at which a machine of the scopes was created or changed its Ready condition."""
    instants = [
        instant
        for scope in scopes
        for machine in snapshot.machines_of(scope)
        for instant in (machine.created_at, machine.ready_since)
        if instant is not None
    ]
    return max(instants, default=None)
