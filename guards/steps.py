"""The verbs: preflight, control-plane, workers, report. The same from a pod, a shell and a test."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from guards.core.credential import unusable
from guards.core.decide import take_in
from guards.core.memory import Memory
from guards.core.model import Snapshot
from guards.core.preflight import preflight, step_may_begin
from guards.core.verdict import Decision, Ending
from guards.durations import format_duration
from guards.exits import Exit
from guards.journal import Journal
from guards.kube import outcome
from guards.kube.access import LEASE, MACHINE, READ, TALOS_CONTROL_PLANE, WORKFLOW, Kind
from guards.kube.errors import Forbidden, KubeError, NotFound, NotServed, WentBack
from guards.kube.lease import Fence, Unreadable
from guards.kube.observe import Observer
from guards.kube.permissions import missing_permissions, used_kinds
from guards.kube.ports import Clock, ManagementCluster
from guards.naming import triggered_workflow
from guards.parameters import Parameters, Remediate, Scope
from guards.remediate import Remediator
from guards.run import Hands, Lookout, Overdue, supervise
from guards.talos.ports import BadCredential, NoCredential, TalosMachines
from guards.tenure import Tenure


@dataclass(frozen=True)
class World:
    """Everything a step touches."""

    cluster: ManagementCluster
    clock: Clock
    journal: Journal
    talos: TalosMachines | None = None
    """The machines themselves; None where nothing may be done to them."""


def run_preflight(world: World, parameters: Parameters) -> Ending:
    _introduce(world, parameters, "this only watches, looks once and changes nothing")
    lookout = _lookout(world, parameters)
    snapshot = _first_look(world, parameters, lookout, ["get"])
    memory = take_in(Memory(started_at=snapshot.taken_at), snapshot, parameters)
    ledger, holder = lookout.reachable(Fence(world.cluster, world.clock, parameters).peek)
    return preflight(snapshot, memory, parameters, _newer_run(world, parameters, snapshot), ledger, holder)


def run_control_plane(world: World, parameters: Parameters) -> Ending:
    return _supervised(world, parameters, Scope.CONTROL_PLANE)


def run_workers(world: World, parameters: Parameters) -> Ending:
    return _supervised(world, parameters, Scope.WORKERS)


def run_report(world: World, parameters: Parameters) -> Ending:
    """How our Workflow ended, read from its own nodes. The Lease is handed over, so that the next run need not wait."""
    ending = outcome.of_workflow(world.cluster, world.clock, parameters)
    with suppress(KubeError):
        Fence(world.cluster, world.clock, parameters).hand_over()
    return ending


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
    except (BadCredential, Unreadable, WentBack) as error:
        ending = _failed(verb, Exit.REFUSED, f"refused: {error}")
    world.journal.end(ending.seen_at or world.clock.now(), ending)
    return ending


def _failed(verb: str, code: Exit, sentence: str) -> Ending:
    return Ending(code, sentence, Decision.REFUSED if verb == "preflight" else None)


def _introduce(world: World, parameters: Parameters, what: str) -> None:
    where = f"Cluster {parameters.cluster_namespace}/{parameters.cluster_name}"
    budget = f"budget {parameters.max_concurrent_unavailable} per {parameters.budget_scope}"
    world.journal.say(world.clock.now(), f"{where}, scope {parameters.scope}, {budget}: {what}")


def _lookout(world: World, parameters: Parameters) -> Lookout:
    return Lookout(Observer(world.cluster, world.clock, parameters), world.clock, world.journal)


def _first_look(world: World, parameters: Parameters, lookout: Lookout, lease: Iterable[str]) -> Snapshot:
    """Permissions before anything else, then the look, then the kinds that only the look could name.

    `lease`: what the step does with the Lease.
    """
    known = used_kinds(parameters)
    lookout.reachable(lambda: _permitted(world, [LEASE], parameters.cluster_namespace, lease))
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
    only_watches = _why_it_only_watches(world, parameters)
    _introduce(world, parameters, f"{_may_do(parameters, only_watches)}, waits for {scope}")
    lookout = _lookout(world, parameters)
    in_workflow = bool(parameters.workflow_uid)
    first = _first_look(world, parameters, lookout, ["get", "create", "update"] if in_workflow else ["get"])
    if not first.pools_of(scope) and parameters.scope is Scope.ALL and scope is Scope.WORKERS:
        return Ending(Exit.DONE, f"Cluster {first.cluster.name} has no MachineDeployment: no workers to wait for")
    ledger, _ = lookout.reachable(Fence(world.cluster, world.clock, parameters).peek)
    refused = step_may_begin(first, parameters, ledger)
    if refused:
        return refused
    return supervise(lookout, parameters, scope, first, _hands(world, parameters, scope, lookout, only_watches))


def _hands(world: World, parameters: Parameters, scope: Scope, lookout: Lookout, only_watches: str) -> Hands:
    """The Lease inside a Workflow; and the power to act, where nothing speaks against it from the beginning."""
    if not parameters.workflow_uid:
        return Hands()
    tenure = Tenure(world.cluster, world.clock, world.journal, parameters, scope)
    if only_watches or world.talos is None:
        return Hands(tenure)
    if parameters.remediate is Remediate.REBOOT_DELETE:
        lookout.reachable(lambda: _permitted(world, [MACHINE], parameters.cluster_namespace, ["delete"]))
    acting = Remediator(
        world.cluster, world.clock, world.journal, world.talos, tenure, parameters, scope, lookout.afresh
    )
    return Hands(tenure, acting)


def _may_do(parameters: Parameters, only_watches: str) -> str:
    if not only_watches:
        acts = "reboots or deletes" if parameters.remediate is Remediate.REBOOT_DELETE else "reboots"
        stuck = format_duration(parameters.stuck_after)
        return f"may do {parameters.max_remediations} {acts} of machines stuck for {stuck}"
    return f"this only watches ({only_watches})" if parameters.max_remediations else "this only watches"


def _why_it_only_watches(world: World, parameters: Parameters) -> str:
    """ "" = it may act. BadCredential when a credential is there that must not be used."""
    if parameters.max_remediations == 0:
        return "maxRemediations is 0"
    if not parameters.workflow_uid or not parameters.node_name:
        return "it does not run in a pod of a Workflow"
    if world.talos is None:
        return "remediation is not enabled in the site file"
    try:
        credential = world.talos.credential()
    except NoCredential as error:
        return str(error)
    if why_not := unusable(credential, world.clock.now(), parameters):
        raise BadCredential(why_not)
    return ""


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
