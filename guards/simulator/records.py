"""What the simulated cluster consists of: the truth, free of API versions. `wire` turns it into API objects."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from guards.core.evidence import Silence
from guards.simulator.timing import Plan


@dataclass(slots=True, kw_only=True, eq=False)
class Record:
    """One API object. `version` is its resourceVersion, `spec_version` its metadata.generation."""

    kind: str
    name: str
    uid: str
    created: datetime
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    owner: "Record | None" = None
    generation: int = 1
    observed: int = 1
    version: int = 0
    deleted: datetime | None = None
    status: dict[str, object] = field(default_factory=dict)
    """What the object's controller wrote last, as plain facts (counters, texts)."""


@dataclass(frozen=True, slots=True)
class Template:
    """What a machine is stamped from; a difference means a roll."""

    version: str
    config: str
    """Workers: name of the TalosConfigTemplate. Control plane: revision of the inline Talos configuration."""
    infrastructure: str
    """Name of the infrastructure machine template."""


@dataclass(frozen=True, slots=True)
class Condition:
    status: str
    reason: str
    message: str
    since: datetime


@dataclass(slots=True, kw_only=True, eq=False)
class ClusterRecord(Record):
    control_plane: str
    paused: bool = False
    contact_lost_at: datetime | None = None
    """Last contact with the workload API; None while it answers."""
    probe: Condition
    """RemoteConnectionProbe."""


@dataclass(slots=True, kw_only=True, eq=False)
class Pool(Record):
    """A TalosControlPlane or a MachineDeployment."""

    replicas: int
    template: Template
    max_surge: int | str | None = 0
    max_unavailable: int | str | None = 1
    strategy: str = "RollingUpdate"
    paused: bool = False
    """spec.paused; TalosControlPlanes have only the annotation."""

    @property
    def scope(self) -> str:
        return "control-plane" if self.kind == "TalosControlPlane" else "workers"


@dataclass(slots=True, kw_only=True, eq=False)
class SetRecord(Record):
    deployment: Pool
    template: Template
    replicas: int


NETWORK_NOT_READY = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady"
"""What the kubelet of a Node says until its network is there."""


@dataclass(slots=True)
class Node:
    """The Kubernetes Node of a machine, as the workload cluster knows it. `off`: the hardware is dead or cut off."""

    name: str
    boot_id: str
    status: str = "False"
    message: str = NETWORK_NOT_READY
    off: bool = False
    removed: bool = False

    @property
    def serving(self) -> bool:
        return self.status == "True" and not self.off and not self.removed


class RebootFault(StrEnum):
    """What becomes of a request to reboot, other than a reboot."""

    IGNORED = "ignored"
    """OK, and nothing happens: the sequence lock is held."""
    REFUSED = "refused"
    LOST_BEFORE = "lost before"
    """No answer, and nothing happens."""
    LOST_AFTER = "lost after"
    """No answer, and it happens."""


@dataclass(slots=True)
class Apid:
    """What is odd about one machine's answers; the defaults are nothing."""

    silence: Silence | None = None
    hostname: str = ""
    stage: str = ""
    reboot: RebootFault | None = None
    leaderless: bool = False
    """Its etcd member knows of no leader."""
    etcd_errors: tuple[str, ...] = ()
    unlisted: str = ""
    """The Machine whose member is missing in its member list."""


@dataclass(slots=True, kw_only=True, eq=False)
class MachineRecord(Record):
    pool: Pool
    template: Template
    plan: Plan
    config: Record
    infrastructure: Record
    server: str = ""
    """Address of the pool's server that it holds; the next machine in it has the same."""
    address: str = ""
    """Address of the server that it holds or has held last."""
    virtual: list[str] = field(default_factory=list)
    """Addresses of others that Cluster API lists for it too, before its own."""
    booted_at: datetime | None = None
    """The last start of its kernel; None until its Talos is installed and after it is shut down."""
    boots: int = 0
    """Reboots so far."""
    away: bool = False
    """In the middle of a reboot."""
    etcd_stopped: bool = False
    apid: Apid = field(default_factory=Apid)
    bootstrap_ready: bool = False
    infrastructure_ready: bool = False
    infrastructure_gone: bool = False
    node: Node | None = None
    node_seen: str = ""
    """status.nodeRef: what Cluster API knows of the Node."""
    booted: bool = False
    """Talos' boot sequence is over; on the control plane the etcd member has joined."""
    deleting: str = ""
    """Reason of the condition Deleting, once the Machine controller has noticed."""
    drain_started: datetime | None = None
    conditions: dict[str, Condition] = field(default_factory=dict)

    @property
    def serving(self) -> bool:
        """Really doing its work: its Node is Ready and nobody is taking it away."""
        return self.deleted is None and self.node is not None and self.node.serving

    @property
    def powered(self) -> bool:
        """Its Talos runs, whatever the Node does."""
        return self.booted_at is not None and not self.away and (self.node is None or not self.node.off)

    @property
    def up_to_date(self) -> bool:
        return self.template == self.pool.template

    def ready(self) -> bool:
        """What the API says, right or wrong."""
        condition = self.conditions.get("Ready")
        return condition is not None and condition.status == "True"
