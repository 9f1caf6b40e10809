"""Facts for tests of pure decisions: a healthy 3 + 3 cluster, and small changes of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from guards.core.model import ClusterFacts, Machine, Pool, Ready, Snapshot, Strategy
from guards.parameters import Parameters, Scope

CP, WORKERS = Scope.CONTROL_PLANE, Scope.WORKERS
NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
LONG_AGO = NOON - timedelta(days=30)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def parameters(**changes: object) -> Parameters:
    return Parameters.model_validate({"clusterName": "homelab", **changes})


def machine(name: str, **changes: object) -> Machine:
    """A healthy, up-to-date machine; `cp-…` is a control-plane machine."""
    scope = CP if name.startswith("cp-") else WORKERS
    base = Machine(
        name=name,
        uid=f"uid-{name}",
        scope=scope,
        pool="homelab-cp" if scope is CP else "homelab-workers",
        stranger="",
        created_at=LONG_AGO,
        deleting_since=None,
        deletion="",
        ready=Ready.TRUE,
        ready_reason="Ready",
        ready_since=LONG_AGO,
        dark=False,
        connection_down=False,
        node=f"node-{name}",
        infrastructure_ready=True,
        outdated=(),
        paused=False,
        resource_version="1",
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def old(name: str, **changes: object) -> Machine:
    return machine(name, **{"outdated": ("version v1.35.0, wanted v1.35.1",), **changes})


def down(name: str, **changes: object) -> Machine:
    return machine(name, **{"ready": Ready.FALSE, "ready_reason": "NotReady", **changes})


def deleting(name: str, since: datetime = NOON, **changes: object) -> Machine:
    return old(name, **{"deleting_since": since, "ready": Ready.FALSE, "deletion": "DrainingNode", **changes})


def starting(name: str, created: datetime = NOON, **changes: object) -> Machine:
    """A replacement without a node yet."""
    facts = {"created_at": created, "node": "", "infrastructure_ready": False, "ready": Ready.UNKNOWN}
    return machine(name, **{**facts, "ready_since": None, "ready_reason": "", **changes})


def dark(name: str, **changes: object) -> Machine:
    """Ready is Unknown because Cluster API cannot see the node."""
    facts = {"ready": Ready.UNKNOWN, "ready_reason": "ConnectionDown", "dark": True, "connection_down": True}
    return machine(name, **{**facts, **changes})


def pool(scope: Scope = CP, **changes: object) -> Pool:
    control_plane = scope is CP
    base = Pool(
        kind="TalosControlPlane" if control_plane else "MachineDeployment",
        name="homelab-cp" if control_plane else "homelab-workers",
        uid=f"uid-{scope}",
        scope=scope,
        generation=1,
        replicas=3,
        strategy=Strategy("RollingUpdate", 0, None if control_plane else 1),
        paused=(),
        deleting=False,
        unfinished=(),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


CLUSTER = ClusterFacts(
    name="homelab",
    namespace="default",
    uid="uid-homelab",
    paused=False,
    deleting=False,
    hold=None,
    control_plane_ref="TalosControlPlane homelab-cp",
    control_plane_initialized=True,
    remote_connection=Ready.TRUE,
    remote_connection_message="",
)

HEALTHY_CP = (machine("cp-1"), machine("cp-2"), machine("cp-3"))
HEALTHY_WORKERS = (machine("w-1"), machine("w-2"), machine("w-3"))


def snapshot(
    *machines: Machine,
    at: datetime = NOON,
    pools: tuple[Pool, ...] | None = None,
    cluster: ClusterFacts = CLUSTER,
    notes: tuple[str, ...] = (),
) -> Snapshot:
    """These machines; a scope that is not mentioned is healthy."""
    scopes = {one.scope for one in machines}
    rest = (*(HEALTHY_CP if CP not in scopes else ()), *(HEALTHY_WORKERS if WORKERS not in scopes else ()))
    pools = (pool(CP), pool(WORKERS)) if pools is None else pools
    return Snapshot(taken_at=at, cluster=cluster, pools=pools, machines=(*machines, *rest), notes=notes)
