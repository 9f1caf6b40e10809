"""The verbs: preflight, control-plane, workers, report. The same from a pod, a shell and a test."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from guards.core.decide import take_in
from guards.core.memory import Memory
from guards.core.model import Snapshot
from guards.core.preflight import preflight, step_may_begin
from guards.core.verdict import Decision, Ending
from guards.exits import Exit
from guards.journal import Journal
from guards.kube import outcome
from guards.kube.access import READ, TALOS_CONTROL_PLANE, WORKFLOW, Kind
from guards.kube.errors import Forbidden, NotFound, NotServed
from guards.kube.observe import Observer
from guards.kube.permissions import missing_permissions, used_kinds
from guards.kube.ports import Clock, ManagementCluster
from guards.naming import triggered_workflow
from guards.parameters import Parameters, Scope
from guards.run import Lookout, Overdue, supervise


@dataclass(frozen=True)
class World:
    """Everything a step touches."""

    cluster: ManagementCluster
    clock: Clock
    journal: Journal


def run_preflight(world: World, parameters: Parameters) -> Ending:
    _introduce(world, parameters, "looks once and changes nothing")
    lookout = _lookout(world, parameters)
    snapshot = _first_look(world, parameters, lookout)
    memory = take_in(Memory(started_at=snapshot.taken_at), snapshot, parameters)
    return preflight(snapshot, memory, parameters, _newer_run(world, parameters, snapshot))


def run_control_plane(world: World, parameters: Parameters) -> Ending:
    return _supervised(world, parameters, Scope.CONTROL_PLANE)


def run_workers(world: World, parameters: Parameters) -> Ending:
    return _supervised(world, parameters, Scope.WORKERS)


def run_report(world: World, parameters: Parameters) -> Ending:
    """How our Workflow ended, read from its own nodes."""
    return outcome.of_workflow(world.cluster, world.clock, parameters)


STEPS: dict[str, Callable[[World, Parameters], Ending]] = {
    "preflight": run_preflight,
    "control-plane": run_control_plane,
    "workers": run_workers,
    "report": run_report,
}


def run_step(verb: str, world: World, parameters: Parameters) -> Ending:
    """Run one verb to its end; what the API refuses or does not serve is an ending too, never a traceback."""
    try:
        ending = STEPS[verb](world, parameters)
    except Forbidden as error:
        ending = _failed(verb, Exit.FORBIDDEN, f"not permitted: {error}")
    except NotServed as error:
        ending = _failed(verb, Exit.CONTRACT, f"not served: {error}")
    except NotFound as error:
        ending = _failed(verb, Exit.REFUSED, f"{error}; next: kubectl get clusters -A")
    except Overdue as error:
        ending = _failed(verb, Exit.UNREACHABLE, str(error))
    world.journal.end(ending.seen_at or world.clock.now(), ending)
    return ending


def _failed(verb: str, code: Exit, sentence: str) -> Ending:
    return Ending(code, sentence, Decision.REFUSED if verb == "preflight" else None)


def _introduce(world: World, parameters: Parameters, what: str) -> None:
    where = f"Cluster {parameters.cluster_namespace}/{parameters.cluster_name}"
    budget = f"budget {parameters.max_concurrent_unavailable} per {parameters.budget_scope}"
    acts = "" if parameters.max_remediations == 0 else " (maxRemediations has no effect: this version never acts)"
    world.journal.say(
        world.clock.now(), f"{where}, scope {parameters.scope}, {budget}: this only watches{acts}, {what}"
    )


def _lookout(world: World, parameters: Parameters) -> Lookout:
    return Lookout(Observer(world.cluster, world.clock, parameters), world.clock, world.journal)


def _first_look(world: World, parameters: Parameters, lookout: Lookout) -> Snapshot:
    """Permissions before anything else, then the look, then the kinds that only the look could name."""
    known = used_kinds(parameters)
    if parameters.workflow_namespace:
        lookout.reachable(lambda: _permitted(world, [WORKFLOW], parameters.workflow_namespace, ["get"]))
    lookout.reachable(lambda: _permitted(world, known, parameters.cluster_namespace))
    snapshot = lookout.look()
    told = sorted(lookout.observer.kinds - set(known), key=str)
    lookout.reachable(lambda: _permitted(world, told, parameters.cluster_namespace))
    return snapshot


def _permitted(world: World, kinds: Iterable[Kind], namespace: str, verbs: Iterable[str] = READ) -> None:
    missing = missing_permissions(world.cluster, kinds, namespace, verbs)
    if missing:
        raise Forbidden(
            f"{'; '.join(missing)}; next: kubectl apply -k overlay/management/capi-rollout "
            "(infrastructure kinds come from rollout.yaml)"
        )


def _supervised(world: World, parameters: Parameters, scope: Scope) -> Ending:
    if not parameters.covers(scope):
        return Ending(Exit.DONE, f"{scope} is not in scope {parameters.scope}: nothing to do")
    _introduce(world, parameters, f"waits for {scope}")
    lookout = _lookout(world, parameters)
    first = _first_look(world, parameters, lookout)
    if not first.pools_of(scope) and parameters.scope is Scope.ALL and scope is Scope.WORKERS:
        return Ending(Exit.DONE, f"Cluster {first.cluster.name} has no MachineDeployment: no workers to wait for")
    return step_may_begin(first, parameters) or supervise(lookout, parameters, scope, first)


def _newer_run(world: World, parameters: Parameters, snapshot: Snapshot) -> str:
    """Name of the Workflow of the live generation, when this run is for an older one and that Workflow exists."""
    pools = snapshot.pools_of(Scope.CONTROL_PLANE)
    if not parameters.tcp_generation or not parameters.workflow_namespace or not pools:
        return ""
    live = pools[0]
    if int(parameters.tcp_generation) >= live.generation:
        return ""
    name = triggered_workflow(live.name, live.uid, live.generation)
    try:
        world.cluster.get(WORKFLOW, parameters.workflow_namespace, name)
    except NotFound:
        return ""
    return f"{name} ({TALOS_CONTROL_PLANE.name} {live.name} is at generation {live.generation})"
