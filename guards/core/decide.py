"""The judgement of one look while a step supervises its scope. Pure: same facts and memory, same verdict."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from guards.core.brake import brake
from guards.core.breach import GAP_LOOKS, GAP_PERIOD, breaches, over_budget_in_slots
from guards.core.counts import Counts, budgets, covered, overlap_ends_in
from guards.core.done import STABLE_LOOKS, STABLE_PERIOD, unfinished
from guards.core.memory import Memory, continued, names, remember
from guards.core.model import Snapshot
from guards.core.refusals import configuration, down_by_itself, impatient, patience, paused
from guards.core.verdict import Finding, Verdict
from guards.durations import format_duration
from guards.exits import Exit
from guards.parameters import Parameters, Scope

BLIND_LIMIT = timedelta(minutes=10)
"""G4: longest time without sight of the workload API."""


def take_in(memory: Memory, snapshot: Snapshot, parameters: Parameters) -> Memory:
    """`memory` after this look."""
    now = snapshot.taken_at
    begins = not memory.progress
    memory = remember(memory, snapshot)
    if begins:
        down = [m.uid for m in snapshot.machines if down_by_itself(m, snapshot, memory, parameters)]
        memory = replace(memory, down_before=frozenset(down))
    for counts in budgets(snapshot, memory, parameters):
        over = over_budget_in_slots(counts, parameters)
        memory = replace(memory, missing=continued(memory.missing, counts.label, over, now))
    for scope in covered(parameters):
        rolled = memory.unreachable_since is None and not unfinished(snapshot, memory, (scope,))
        memory = replace(memory, rolled=continued(memory.rolled, scope, rolled, now))
    return memory


def decide(snapshot: Snapshot, memory: Memory, parameters: Parameters, scope: Scope) -> Verdict:
    """Judge a look that `take_in` has put into `memory`, for the step that waits for `scope`."""
    all_counts = budgets(snapshot, memory, parameters)
    verdict = _judge(snapshot, memory, parameters, scope, all_counts)
    return replace(verdict, counts=tuple(counts.line() for counts in all_counts))


def _judge(
    snapshot: Snapshot, memory: Memory, parameters: Parameters, scope: Scope, all_counts: tuple[Counts, ...]
) -> Verdict:
    now = snapshot.taken_at
    over = [finding for counts in all_counts for finding in breaches(counts, memory, parameters, now)]
    if over:
        return _stop(snapshot, over)
    changed = list(_changed(snapshot, memory, parameters))
    if changed:
        return _stop(snapshot, changed)
    findings = tuple(_worth_saying(snapshot, memory, parameters, all_counts))
    if memory.unreachable_since and now - memory.unreachable_since >= BLIND_LIMIT:
        blind = f"the workload API has been out of sight for {format_duration(BLIND_LIMIT)}"
        return Verdict(
            Exit.TIMED_OUT, f"Cluster {snapshot.cluster.name}: {blind}: nothing can be judged [G4]", findings
        )
    streak = memory.rolled.get(scope)
    if streak and streak.lasted(now, STABLE_LOOKS, STABLE_PERIOD):
        count = sum(pool.replicas for pool in snapshot.pools_of(scope))
        return Verdict(Exit.DONE, f"{scope}: all {count} machines are up to date, available and stable", findings)
    still = unfinished(snapshot, memory, (scope,))
    progress = memory.progress[scope]
    if now - progress.at >= patience(parameters, scope):
        return Verdict(
            Exit.TIMED_OUT,
            f"{scope}: no progress for {format_duration(patience(parameters, scope))} (last: {progress.what} at "
            f"{progress.at:%H:%M:%S} UTC), waiting for {'; '.join(still) or 'stability'}; look: "
            f"kubectl -n {snapshot.cluster.namespace} get machines. {brake(snapshot)}".strip(),
            findings,
        )
    waiting = f"{scope}: waiting for {'; '.join(still)}" if still else f"{scope}: done, must stay so for 30s"
    return Verdict(None, waiting, findings, _look_within(memory, parameters, scope, all_counts, now))


def _stop(snapshot: Snapshot, findings: list[Finding]) -> Verdict:
    sentence = "; ".join(str(finding) for finding in findings)
    end = "" if snapshot.cluster.deleting else brake(snapshot)  # nothing to spare in a cluster that goes away
    return Verdict(Exit.REFUSED, f"{sentence}. {end}".strip())


def _changed(snapshot: Snapshot, memory: Memory, parameters: Parameters) -> Iterator[Finding]:
    """What must not change under a run. A new spec is followed, but its replicas and strategy must stay."""
    cluster = snapshot.cluster
    if cluster.uid != memory.cluster_uid:
        yield Finding("identity", f"Cluster {cluster.name} is not the one this run began with: it was recreated")
    if cluster.deleting:
        yield Finding("identity", f"Cluster {cluster.name} is being deleted")
    moved = False
    pools = [pool for scope in covered(parameters) for pool in snapshot.pools_of(scope)]
    for pool in pools:
        pin = memory.pins[pool.uid]
        moved = moved or pool.generation != pin.generation
        if pool.replicas != pin.replicas:
            yield Finding(
                "replicas",
                f"{pool.kind} {pool.name}: replicas changed from {pin.replicas} to {pool.replicas} in mid-run",
            )
        if pool.strategy != pin.strategy:
            yield Finding("strategy", f"{pool.kind} {pool.name}: the rollout strategy changed in mid-run")
        if pool.deleting:
            yield Finding("identity", f"{pool.kind} {pool.name} is being deleted")
    for pin in memory.pins.values():
        if parameters.covers(pin.scope) and pin.uid not in {pool.uid for pool in pools}:
            yield Finding("identity", f"{pin.kind} {pin.name}, which this run began with, is gone")
    if moved:
        yield from configuration(snapshot, parameters)


def _worth_saying(
    snapshot: Snapshot, memory: Memory, parameters: Parameters, all_counts: tuple[Counts, ...]
) -> Iterator[Finding]:
    for counts in all_counts:
        if counts.handover is not None:
            left = overlap_ends_in(counts, snapshot.taken_at, parameters.handover_grace) or timedelta(0)
            yield Finding(
                "G3",
                f"hand-over: {counts.handover.name} is up to date, has node {counts.handover.node} and is still "
                f"starting while {names(counts.deleting)} is already deleting; allowed until "
                f"{snapshot.taken_at + left:%H:%M:%S} UTC",
            )
        if counts.in_the_dark:
            yield Finding("G4", f"{counts.label}: out of sight, not counted as down: {names(counts.in_the_dark)}")
    if memory.unreachable_since:
        why = snapshot.cluster.remote_connection_message or "every node is ConnectionDown"
        yield Finding(
            "G4", f"the workload API is out of sight since {memory.unreachable_since:%H:%M:%S} UTC ({why}): waiting"
        )
    for what in paused(snapshot, parameters):
        yield Finding("paused", f"{what} is paused: nothing is replaced until it is released")
    yield from strangers(snapshot, parameters)
    if parameters.max_remediations == 0:  # else it was refused before the run
        yield from impatient(snapshot, parameters)
    for note in snapshot.notes:
        yield Finding("note", note)
    for scope in covered(parameters):
        for pool in snapshot.pools_of(scope):
            if pool.generation != memory.pins[pool.uid].generation:
                yield Finding(
                    "newest-spec",
                    f"{pool.kind} {pool.name}: following generation {pool.generation} (the run began with "
                    f"{memory.pins[pool.uid].generation})",
                )


def strangers(snapshot: Snapshot, parameters: Parameters) -> Iterator[Finding]:
    """G6: machines with the Cluster's labels that no pool owns, and machines beyond a pool's replicas."""
    for scope in covered(parameters):
        for machine in snapshot.machines_of(scope):
            if machine.stranger:
                yield Finding(
                    "G6", f"Machine {machine.name} ({scope}) {machine.stranger}: counted when down, never ours"
                )
        for pool in snapshot.pools_of(scope):
            living = [m for m in snapshot.machines_in(pool) if m.deleting_since is None]
            if len(living) > pool.replicas:
                yield Finding("G6", f"{pool.kind} {pool.name}: {len(living)} machines for {pool.replicas} slots")


def _look_within(
    memory: Memory, parameters: Parameters, scope: Scope, all_counts: tuple[Counts, ...], now: datetime
) -> timedelta:
    """`pollInterval`, or less when a deadline of a guard falls before that."""
    candidates = [parameters.poll_interval]
    if scope in memory.rolled:
        candidates.append(STABLE_PERIOD / STABLE_LOOKS)
    if memory.missing:
        candidates.append(GAP_PERIOD / GAP_LOOKS)
    for counts in all_counts:
        left = overlap_ends_in(counts, now, parameters.handover_grace)
        if left is not None:
            candidates.append(max(left, timedelta(seconds=1)))
    return min(candidates)
