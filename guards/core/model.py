"""What was seen: frozen facts about one Cluster at one instant, free of API versions and of judgement."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from guards.parameters import Scope


class Ready(StrEnum):
    """A Machine's v1beta2 condition Ready. A missing condition reads as UNKNOWN, never as TRUE."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Machine:
    """One Machine object that carries the Cluster's label."""

    name: str
    uid: str
    scope: Scope
    pool: str
    """Name of the TalosControlPlane or MachineDeployment at the end of the verified owner chain; "" = stranger."""
    stranger: str
    """Why no owner chain could be verified ("has no owner", "is owned by X"); "" when it could."""
    created_at: datetime
    deleting_since: datetime | None
    deletion: str
    """Why the deletion is not through yet, in Cluster API's words ("DrainingNode: …"); "" when not deleting."""
    ready: Ready
    ready_reason: str
    ready_since: datetime | None
    dark: bool
    """Ready is only Unknown because Cluster API cannot see the Node (ConnectionDown, InternalError,
    InspectionFailed), or the object's status is older than its spec: the last known value may still hold."""
    connection_down: bool
    node: str
    """Name of the Node, "" until one has registered."""
    infrastructure_ready: bool
    outdated: tuple[str, ...]
    """What differs from its pool's template ("version v1.35.0, wanted v1.35.1"); empty = up to date."""
    paused: bool
    resource_version: str
    addresses: tuple[str, ...] = ()
    """Internal ones first, as Cluster API lists them."""
    hands_off: tuple[str, ...] = ()
    """Why it must not be remediated from here: marks of people and of MachineHealthChecks."""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A MachineHealthCheck of this Cluster."""

    name: str
    startup_timeout: timedelta | None
    """After so long without a node it remediates a Machine; None = never."""
    machines: tuple[str, ...]
    """Names of the Machines it selects."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """A pool's rollout strategy as written. None = the field is absent."""

    type: str
    max_surge: int | str | None
    max_unavailable: int | str | None


@dataclass(frozen=True, slots=True)
class Pool:
    """A TalosControlPlane or a MachineDeployment."""

    kind: str
    name: str
    uid: str
    scope: Scope
    generation: int
    replicas: int
    """Slots: spec.replicas, 1 when absent."""
    strategy: Strategy
    paused: tuple[str, ...]
    """What of it is paused, as `kind/name` (the pool itself, its MachineSets)."""
    deleting: bool
    unfinished: tuple[str, ...]
    """Why the pool is not rolled although its Machines might look so ("MachineSet x still has 1 replica")."""


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """The Cluster object itself."""

    name: str
    namespace: str
    uid: str
    paused: bool
    deleting: bool
    hold: str | None
    """Reason in the annotation capi-rollout/hold; None when there is no such annotation."""
    control_plane_ref: str
    """What spec.controlPlaneRef names, as `Kind name`; "no controlPlaneRef" when there is none."""
    control_plane_initialized: bool
    remote_connection: Ready
    """Condition RemoteConnectionProbe: whether Cluster API reaches the workload cluster's API."""
    remote_connection_message: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything one look saw."""

    taken_at: datetime
    cluster: ClusterFacts
    pools: tuple[Pool, ...]
    machines: tuple[Machine, ...]
    notes: tuple[str, ...] = ()
    """What the look wants said that is no fact about a machine ("read at v1beta1: …")."""
    health_checks: tuple[HealthCheck, ...] = ()

    def pools_of(self, scope: Scope) -> tuple[Pool, ...]:
        return tuple(pool for pool in self.pools if pool.scope is scope)

    def machines_of(self, scope: Scope) -> tuple[Machine, ...]:
        return tuple(machine for machine in self.machines if machine.scope is scope)

    def machines_in(self, pool: Pool) -> tuple[Machine, ...]:
        return tuple(m for m in self.machines if m.scope is pool.scope and m.pool == pool.name)
