"""Reasons not to begin: what is configured, marked or used up so that a roll without a spare machine is not safe.

Each check yields findings that name the object, what was seen, what was expected, and what to do about it.
"""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta

from guards.core.counts import covered
from guards.core.done import is_outdated
from guards.core.memory import Memory, is_ready, names
from guards.core.model import Machine, Pool, Snapshot
from guards.core.verdict import Finding
from guards.durations import format_duration
from guards.naming import HOLD_ANNOTATION, PAUSED_ANNOTATION
from guards.parameters import BudgetScope, Parameters, Scope

Check = Callable[[Snapshot, Parameters], Iterator[Finding]]


def resolve(value: int | str | None, replicas: int, default: int, *, up: bool) -> int | None:
    """maxSurge or maxUnavailable as Cluster API resolves it against replicas; None = not a number or percentage."""
    if value is None:
        return default
    if isinstance(value, int):
        return value
    if re.fullmatch(r"\d{1,3}%", value):
        part = int(value[:-1]) * replicas
        return -(-part // 100) if up else part // 100
    return int(value) if re.fullmatch(r"\d{1,5}", value) else None


def _seen(value: int | str | None, default: int) -> str:
    return f"absent (means {default})" if value is None else repr(value)


def strategy(snapshot: Snapshot, parameters: Parameters) -> Iterator[Finding]:
    """Only a strategy that deletes first, one by one, can finish without a spare machine."""
    for scope in covered(parameters):
        for pool in snapshot.pools_of(scope):
            yield from strategy_of(pool)


def strategy_of(pool: Pool) -> Iterator[Finding]:
    """The same for one pool, seen in a cluster or written in a file."""
    if pool.strategy.type != "RollingUpdate":
        yield Finding(
            "strategy",
            f"{pool.kind} {pool.name}: rollout strategy is {pool.strategy.type}, must be RollingUpdate "
            f"({pool.strategy.type} replaces nothing by itself); set it in git",
        )
    else:
        check = _control_plane_strategy if pool.scope is Scope.CONTROL_PLANE else _workers_strategy
        yield from check(pool)


def _control_plane_strategy(pool: Pool) -> Iterator[Finding]:
    surge = pool.strategy.max_surge
    if surge not in (0, "0") or isinstance(surge, bool):
        yield Finding(
            "max-surge",
            f"{pool.kind} {pool.name}: maxSurge is {_seen(surge, 1)}, must be 0 (there is no spare machine); "
            "set it to 0 in git",
        )


def _workers_strategy(pool: Pool) -> Iterator[Finding]:
    surge = resolve(pool.strategy.max_surge, pool.replicas, 1, up=True)
    unavailable = resolve(pool.strategy.max_unavailable, pool.replicas, 0, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1  # as Cluster API does: both zero would never move
    if surge != 0:
        yield Finding(
            "max-surge",
            f"{pool.kind} {pool.name}: maxSurge is {_seen(pool.strategy.max_surge, 1)} = {surge} of {pool.replicas}, "
            "must be 0 (there is no spare machine); set it to 0 in git",
        )
    if unavailable != 1:
        yield Finding(
            "max-unavailable",
            f"{pool.kind} {pool.name}: maxUnavailable is {_seen(pool.strategy.max_unavailable, 0)} = {unavailable} of "
            f"{pool.replicas}, must be 1; set it to 1 in git",
        )


def control_plane_size(snapshot: Snapshot, parameters: Parameters) -> Iterator[Finding]:
    """One machine can never be replaced in place, two have no quorum to spare."""
    if not parameters.covers(Scope.CONTROL_PLANE):
        return
    for pool in snapshot.pools_of(Scope.CONTROL_PLANE):
        yield from size_of(pool, allow_two=parameters.allow_two_control_planes)


def size_of(pool: Pool, *, allow_two: bool) -> Iterator[Finding]:
    """The same for one TalosControlPlane."""
    what = f"{pool.kind} {pool.name}: replicas is {pool.replicas}"
    if pool.replicas < 2:
        yield Finding("control-plane-size", f"{what}, must be 3 or more: with maxSurge 0 it never progresses")
    elif pool.replicas == 2 and not allow_two:
        yield Finding(
            "control-plane-size",
            f"{what}, must be 3 or more: etcd has no fault tolerance while one of two is away; "
            "submit with --allow-two-control-planes if you accept that",
        )


def has_pools(snapshot: Snapshot, parameters: Parameters) -> Iterator[Finding]:
    """An empty scope never passes silently."""
    cluster = snapshot.cluster
    if parameters.covers(Scope.CONTROL_PLANE) and not snapshot.pools_of(Scope.CONTROL_PLANE):
        yield Finding(
            "has-pools",
            f"Cluster {cluster.name}: has no TalosControlPlane ({cluster.control_plane_ref}), scope "
            f"{parameters.scope} needs one; submit with --scope workers",
        )
    if parameters.scope is Scope.WORKERS and not snapshot.pools_of(Scope.WORKERS):
        yield Finding(
            "has-pools", f"Cluster {cluster.name}: has no MachineDeployment, scope workers needs one; nothing to roll"
        )


def not_paused(snapshot: Snapshot, parameters: Parameters) -> Iterator[Finding]:
    """What is paused is not reconciled: a roll would stop half way, a deleted machine would not be replaced."""
    for what in paused(snapshot, parameters):
        yield Finding("paused", f"{what} is paused, must not be; release it ({PAUSED_ANNOTATION}- or spec.paused)")


def paused(snapshot: Snapshot, parameters: Parameters) -> list[str]:
    """Everything paused that matters to this run, as `Kind name`."""
    found = [f"Cluster {snapshot.cluster.name}"] if snapshot.cluster.paused else []
    for scope in covered(parameters):
        found += [what for pool in snapshot.pools_of(scope) for what in pool.paused]
        found += [f"Machine {machine.name}" for machine in snapshot.machines_of(scope) if machine.paused]
    return found


def not_held(snapshot: Snapshot, parameters: Parameters) -> Iterator[Finding]:
    """A person has asked for no rollouts."""
    cluster = snapshot.cluster
    if cluster.hold is not None:
        yield Finding(
            "hold",
            f"Cluster {cluster.name}: annotation {HOLD_ANNOTATION} says {cluster.hold!r}; when that is over: "
            f"kubectl -n {cluster.namespace} annotate cluster {cluster.name} {HOLD_ANNOTATION}-",
        )


def one_deployment_at_a_time(snapshot: Snapshot, parameters: Parameters) -> Iterator[Finding]:
    """Each MachineDeployment has a budget of its own in Cluster API: several outdated ones roll in parallel."""
    rolling = [pool for pool in snapshot.pools_of(Scope.WORKERS) if is_outdated(snapshot, pool)]
    if parameters.covers(Scope.WORKERS) and len(rolling) > parameters.max_concurrent_unavailable:
        yield in_parallel([pool.name for pool in rolling], "are outdated", parameters.max_concurrent_unavailable)


def in_parallel(deployments: list[str], are: str, allowed: int) -> Finding:
    return Finding(
        "parallel-deployments",
        f"{len(deployments)} MachineDeployments {are} ({', '.join(deployments)}) and would roll in parallel, "
        f"{allowed} allowed; change one per commit",
    )


def one_scope_at_a_time(snapshot: Snapshot, parameters: Parameters) -> Iterator[Finding]:
    """With one budget for the cluster, both scopes must not roll together: Cluster API does not wait."""
    if parameters.budget_scope is not BudgetScope.CLUSTER or parameters.scope is not Scope.ALL:
        return
    rolling = {pool.scope for pool in snapshot.pools if is_outdated(snapshot, pool)}
    if len(rolling) > 1:
        yield Finding(
            "shared-budget",
            "budgetScope is cluster, and the control plane and workers are both outdated: Cluster API rolls them "
            "at the same time; change them in two commits, or submit with --budget-scope scope",
        )


def health_checks(snapshot: Snapshot, parameters: Parameters) -> Iterator[Finding]:
    """Two remediators would fight, and a MachineHealthCheck that gives up during a slow boot deletes in a loop."""
    if parameters.max_remediations > 0:
        yield from impatient(snapshot, parameters)


def impatient(snapshot: Snapshot, parameters: Parameters) -> Iterator[Finding]:
    """MachineHealthChecks that remediate a starting machine of these scopes before it counts as stuck."""
    mine = {m.name for scope in covered(parameters) for m in snapshot.machines_of(scope)}
    for check in snapshot.health_checks:
        timeout = check.startup_timeout
        if timeout is not None and timeout < parameters.stuck_after and mine & set(check.machines):
            yield Finding(
                "health-check",
                f"MachineHealthCheck {check.name}: its node startup timeout is {format_duration(timeout)}, must be 0 "
                f"or at least stuckAfter ({format_duration(parameters.stuck_after)}): it would delete a machine that "
                "is still booting; set it in git",
            )


def stuck_before_timeout(snapshot: Snapshot, parameters: Parameters) -> Iterator[Finding]:
    """A run that ends before a machine counts as stuck would never act."""
    for scope in covered(parameters):
        limit = patience(parameters, scope)
        if parameters.max_remediations > 0 and snapshot.pools_of(scope) and parameters.stuck_after >= limit:
            yield Finding(
                "stuck-after",
                f"stuckAfter is {format_duration(parameters.stuck_after)}, must be shorter than the timeout of "
                f"{scope} ({format_duration(limit)}): nothing would ever be remediated",
            )


CONFIGURATION: tuple[Check, ...] = (
    has_pools,
    strategy,
    control_plane_size,
    not_paused,
    not_held,
    one_deployment_at_a_time,
    one_scope_at_a_time,
    health_checks,
    stuck_before_timeout,
)
"""Checked before a run, at the begin of every step, and again at every change of a generation."""


def configuration(snapshot: Snapshot, parameters: Parameters) -> list[Finding]:
    return [finding for check in CONFIGURATION for finding in check(snapshot, parameters)]


def budget_left(snapshot: Snapshot, memory: Memory, parameters: Parameters) -> list[Finding]:
    """Machines that are down and that nobody is replacing already use the budget up.

    Only before a run: in mid-run the same sight is an old machine failing beside the roll, which G2 judges.
    """
    found = []
    for scope in covered(parameters):
        down = [m for m in snapshot.machines_of(scope) if down_by_itself(m, snapshot, memory, parameters)]
        if len(down) >= parameters.max_concurrent_unavailable:
            found.append(
                Finding(
                    "budget-left",
                    f"{scope}: {names(down)} down and not being replaced, budget "
                    f"{parameters.max_concurrent_unavailable} is used up before the roll; repair first: "
                    f"kubectl -n {snapshot.cluster.namespace} describe machine {down[0].name}",
                )
            )
    return found


def down_by_itself(machine: Machine, snapshot: Snapshot, memory: Memory, parameters: Parameters) -> bool:
    """Not Ready, not deleting, and no fresh replacement that is still starting."""
    if machine.deleting_since is not None or is_ready(machine, memory, snapshot.taken_at):
        return False
    starting = not machine.outdated and snapshot.taken_at - machine.created_at < patience(parameters, machine.scope)
    return not starting


def patience(parameters: Parameters, scope: Scope) -> timedelta:
    """Longest time without progress of a scope."""
    return parameters.control_plane_timeout if scope is Scope.CONTROL_PLANE else parameters.workers_timeout
