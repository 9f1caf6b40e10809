"""Preflight: may this run begin? First match wins, in the order of docs/decisions.md."""

from datetime import timedelta

from guards.core.brake import brake
from guards.core.breach import breaches
from guards.core.counts import budgets, covered
from guards.core.done import is_outdated, newest_transition, unfinished
from guards.core.ledger import Ledger
from guards.core.memory import Memory, is_ready
from guards.core.model import Snapshot
from guards.core.refusals import budget_left, configuration, down_by_itself
from guards.core.verdict import Decision, Ending, Finding
from guards.exits import Exit
from guards.parameters import Parameters, Scope

NO_LEDGER = Ledger()
SETTLED = timedelta(seconds=30)
"""A cluster that changed more recently is watched until it is stable, not called converged."""


def preflight(
    snapshot: Snapshot,
    memory: Memory,
    parameters: Parameters,
    newer_run: str = "",
    ledger: Ledger = NO_LEDGER,
    holder: str = "",
) -> Ending:
    """`newer_run`: name of the existing Workflow for the live generation, when this run is for an older one.
    `holder`: why another run must end first, "" when none holds the Lease."""
    cluster = snapshot.cluster
    where = f"Cluster {cluster.namespace}/{cluster.name}"
    if newer_run:
        return _end(Decision.SUPERSEDED, f"{where}: generation {parameters.tcp_generation} is overtaken by {newer_run}")
    if cluster.deleting:
        return _refuse(snapshot, [Finding("deleting", f"{where} is being deleted, must not be")])
    if not cluster.control_plane_initialized:
        return _end(Decision.BOOTSTRAPPING, f"{where}: the control plane is not initialised yet, nothing to roll")
    at_rest = _at_rest(snapshot, memory, parameters, where)
    if at_rest is not None:
        return at_rest
    refused = [Finding("fence", holder)] if holder else []
    refused += configuration(snapshot, parameters) + last_run(snapshot, ledger, parameters)
    refused = refused or budget_left(snapshot, memory, parameters)
    now = snapshot.taken_at
    refused = refused or [
        b for c in budgets(snapshot, memory, parameters) for b in breaches(c, memory, parameters, now)
    ]
    return _refuse(snapshot, refused) if refused else _end(Decision.ROLL, f"{where}: {_plan(snapshot, parameters)}")


def step_may_begin(snapshot: Snapshot, parameters: Parameters, ledger: Ledger = NO_LEDGER) -> Ending | None:
    """The same question for a step that may be the entrypoint, or a second start in mid-roll; None = yes."""
    if not snapshot.cluster.control_plane_initialized:
        return _end(Decision.BOOTSTRAPPING, f"Cluster {snapshot.cluster.name}: control plane is not initialised yet")
    refused = configuration(snapshot, parameters) + last_run(snapshot, ledger, parameters)
    return _refuse(snapshot, refused) if refused else None


def last_run(snapshot: Snapshot, ledger: Ledger, parameters: Parameters) -> list[Finding]:
    """What ended badly for these generations is not tried again until a person has seen it."""
    ended = ledger.outcome
    if parameters.acknowledge or ended is None or ended.run == parameters.workflow_uid or ended.exit == Exit.DONE:
        return []
    if any(ended.generations.get(p.uid) != p.generation for s in covered(parameters) for p in snapshot.pools_of(s)):
        return []
    acts = [str(act) for act in ledger.acts if act.run == ended.run]
    if ended.exit is None and not acts:
        return []
    done = f", after {'; '.join(acts)}" if acts else ""
    return [
        Finding(
            "last-run",
            f"the last run for these generations ({ended.workflow}) ended at {ended.at:%Y-%m-%d %H:%M} UTC{done}: "
            f"{ended.sentence}; look at the machines, then submit with --acknowledge",
        )
    ]


def _at_rest(snapshot: Snapshot, memory: Memory, parameters: Parameters, where: str) -> Ending | None:
    """Nothing is outdated: converged, scaling or unhealthy; None when there is something to roll or to wait for."""
    scopes = tuple(scope for scope in covered(parameters) if snapshot.pools_of(scope))
    pools = [pool for scope in scopes for pool in snapshot.pools_of(scope)]
    if not pools or (Scope.CONTROL_PLANE in covered(parameters) and Scope.CONTROL_PLANE not in scopes):
        return None
    if any(is_outdated(snapshot, pool) for pool in pools):
        return None
    for pool in pools:
        found = len(snapshot.machines_in(pool))
        if found != pool.replicas:
            return _end(
                Decision.SCALING,
                f"{where}: nothing is outdated, {pool.kind} {pool.name} has {found} of {pool.replicas} machines "
                "(scaling is Cluster API's own work)",
            )
    if down := unfinished(snapshot, memory, scopes):
        return _down_at_rest(snapshot, memory, parameters, f"{where}: nothing is outdated but {'; '.join(down)}")
    newest = newest_transition(snapshot, scopes)
    if newest is None or snapshot.taken_at - newest < SETTLED:
        return None
    total = sum(pool.replicas for pool in pools)
    without = "".join(f" ({said})" for said in _no_workers(snapshot, parameters))
    return _end(
        Decision.CONVERGED, f"{where}: all {total} machines are up to date and available, nothing to do{without}"
    )


def _down_at_rest(snapshot: Snapshot, memory: Memory, parameters: Parameters, seen: str) -> Ending | None:
    """Machines are down and nothing is outdated: broken ones are nobody's work, starting ones are Cluster API's."""
    machines = [m for scope in covered(parameters) for m in snapshot.machines_of(scope)]
    deleting = [m for m in machines if m.deleting_since is not None]
    if deleting or any(down_by_itself(m, snapshot, memory, parameters) for m in machines):
        advice = f"nobody is rolling it, repair it first: kubectl -n {snapshot.cluster.namespace} get machines"
        return _end(Decision.UNHEALTHY, f"{seen}; {advice}", Exit.REFUSED)
    starting = [m for m in machines if not is_ready(m, memory, snapshot.taken_at)]
    if len(starting) > parameters.max_concurrent_unavailable:
        return _end(Decision.SCALING, f"{seen} (new machines are Cluster API's own work)")
    return None  # the last machine of a roll or of a scaling: watched until it is stable


def _plan(snapshot: Snapshot, parameters: Parameters) -> str:
    """How many machines of which pool are to be replaced, and why."""
    parts = []
    for scope in covered(parameters):
        for pool in snapshot.pools_of(scope):
            old = [m for m in snapshot.machines_in(pool) if m.outdated]
            why = sorted({reason for machine in old for reason in machine.outdated}) or list(pool.unfinished)
            if old or why:
                parts.append(
                    f"{pool.kind} {pool.name}: {len(old)} of {pool.replicas} to replace ({'; '.join(why[:3])})"
                )
    parts += _no_workers(snapshot, parameters)
    return " · ".join(parts) or "nothing is outdated, waiting until it has been stable for 30s"


def _no_workers(snapshot: Snapshot, parameters: Parameters) -> list[str]:
    """An empty scope never passes silently."""
    empty = parameters.scope is Scope.ALL and not snapshot.pools_of(Scope.WORKERS)
    return ["no MachineDeployments"] if empty else []


def _refuse(snapshot: Snapshot, findings: list[Finding]) -> Ending:
    again = f"then: python -m workflows submit --cluster {snapshot.cluster.name}"
    sentence = "; ".join(str(finding) for finding in findings)
    return _end(Decision.REFUSED, " ".join(filter(None, [f"{sentence}; {again}.", brake(snapshot)])), Exit.REFUSED)


def _end(decision: Decision, sentence: str, code: Exit = Exit.DONE) -> Ending:
    return Ending(code, f"{decision}: {sentence}", decision)
