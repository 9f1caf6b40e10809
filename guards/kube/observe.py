"""One look: list what may have changed, keep the rest, join it into a Snapshot.

A watch event only names the kinds to list again. Machines are listed at every poll, everything every five minutes:
a watch that fell silent costs minutes of reaction, never the truth.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from guards.core.model import ClusterFacts, Snapshot
from guards.kube import rows
from guards.kube.access import (
    CLUSTER,
    MACHINE,
    MACHINE_DEPLOYMENT,
    MACHINE_HEALTH_CHECK,
    MACHINE_SET,
    TALOS_CONFIG,
    TALOS_CONTROL_PLANE,
    Kind,
    infrastructure_kind,
)
from guards.kube.assemble import Rows, assemble
from guards.kube.errors import NotFound
from guards.kube.fields import required
from guards.kube.health_checks import health_check_row
from guards.kube.ports import Clock, ManagementCluster, Object
from guards.kube.templates import Fingerprints
from guards.naming import CLUSTER_LABEL
from guards.parameters import Parameters, Scope

RELIST_ALL = timedelta(minutes=5)

EVERY_LOOK = (CLUSTER, TALOS_CONTROL_PLANE, MACHINE)
"""Read afresh at each look: the first two because their watch goes by a label that they may lack."""

T = TypeVar("T")


@dataclass
class Observer:
    """Looks at one Cluster for one run. Not thread-safe; raises guards.kube.errors."""

    cluster: ManagementCluster
    clock: Clock
    parameters: Parameters
    _seen: dict[Kind, Any] = field(default_factory=dict)
    _read: dict[Kind, dict[tuple[str, str, str], Any]] = field(default_factory=dict)
    _whole_at: datetime | None = None
    _watching: frozenset[Kind] = frozenset()

    def look(self, changed: Iterable[Kind] = ()) -> Snapshot:
        """The Cluster now. `changed`: the kinds that a watch has announced since the last look."""
        now = self.clock.now()
        if self._whole_at is None or now - self._whole_at >= RELIST_ALL:
            self._seen.clear()
            self._whole_at = now
        for kind in (*changed, *EVERY_LOOK):
            self._seen.pop(kind, None)
        return assemble(self._rows(), now)

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds that the last look has read."""
        return frozenset(self._seen)

    def _rows(self) -> Rows:
        facts = self._once(CLUSTER, self._cluster)
        control_plane = None
        if self.parameters.covers(Scope.CONTROL_PLANE) and facts.control_plane_ref.startswith("TalosControlPlane "):
            control_plane = self._once(TALOS_CONTROL_PLANE, lambda: self._control_plane(facts))
        machines = self._list(MACHINE, rows.machine_row)
        infrastructure: dict[str, tuple[str, str] | None] = {}
        configs: dict[str, Fingerprints] = {}
        deployments: list[rows.PoolRow] = []
        sets: list[rows.PoolRow] = []
        if control_plane is not None:
            mine = [row for row in machines if row.control_plane]
            kind = _machine_kind(control_plane)
            infrastructure = dict(
                self._complete(kind, rows.infrastructure_row, _first, {r.infrastructure for r in mine})
            )
            configs = dict(self._complete(TALOS_CONFIG, rows.talos_config_row, _first, {r.bootstrap for r in mine}))
        if self.parameters.covers(Scope.WORKERS):
            owners = {row.owner[1] for row in machines if row.owner[0] == MACHINE_SET.name}
            sets = self._complete(MACHINE_SET, rows.machine_set_row, _uid, owners)
            owners = {row.owner[1] for row in sets if row.owner[0] == MACHINE_DEPLOYMENT.name}
            deployments = self._complete(MACHINE_DEPLOYMENT, rows.deployment_row, _uid, owners)
        return Rows(
            cluster=facts,
            control_plane=control_plane,
            deployments=tuple(deployments),
            machine_sets=tuple(sets),
            machines=tuple(machines),
            talos_configs=configs,
            infrastructure=infrastructure,
            health_checks=tuple(self._list(MACHINE_HEALTH_CHECK, health_check_row, labels="")),
        )

    def _cluster(self) -> ClusterFacts:
        name, namespace = self.parameters.cluster_name, self.parameters.cluster_namespace
        return rows.cluster_row(self.cluster.get(CLUSTER, namespace, name), self.cluster.served_version(CLUSTER))

    def _control_plane(self, facts: ClusterFacts) -> rows.PoolRow | None:
        name = facts.control_plane_ref.split(" ", 1)[1]
        try:
            item = self.cluster.get(TALOS_CONTROL_PLANE, self.parameters.cluster_namespace, name)
        except NotFound:
            return None  # has_pools refuses it, and a run that began with it ends
        return rows.control_plane_row(item, self.cluster.served_version(TALOS_CONTROL_PLANE))

    def _once(self, kind: Kind, read: Callable[[], T]) -> T:
        if kind not in self._seen:
            self._seen[kind] = read()
        value: T = self._seen[kind]
        return value

    def _list(self, kind: Kind, read: Callable[[Object, str], T], labels: str | None = None) -> list[T]:
        """`labels` None: those of the Cluster."""
        return self._once(kind, lambda: self._fresh(kind, read, self._labels if labels is None else labels))

    def _fresh(self, kind: Kind, read: Callable[[Object, str], T], labels: str) -> list[T]:
        """List again; an object whose resourceVersion has not moved keeps the row it gave the last time."""
        version = self.cluster.served_version(kind)
        before, after = self._read.get(kind, {}), {}

        def row(item: Object) -> T:
            key = (version, required(item, "metadata", "uid"), required(item, "metadata", "resourceVersion"))
            after[key] = before[key] if key in before else read(item, version)
            found: T = after[key]
            return found

        rows = self.cluster.list(kind, self.parameters.cluster_namespace, labels, row)
        self._read[kind] = after
        return rows

    def _complete(
        self, kind: Kind, read: Callable[[Object, str], T], key: Callable[[T], str], needed: set[str]
    ) -> list[T]:
        """All rows; listed once more when one that another row refers to is newer than the last list."""
        fresh = kind not in self._seen
        found = self._list(kind, read)
        if not fresh and not needed <= {key(row) for row in found}:
            self._seen.pop(kind)
            found = self._list(kind, read)
        return found

    @property
    def _labels(self) -> str:
        return f"{CLUSTER_LABEL}={self.parameters.cluster_name}"

    def watch(self) -> None:
        """From now on let the clock's wait return early when a kind that was read changes."""
        new = self.kinds - self._watching - {CLUSTER, MACHINE_HEALTH_CHECK}
        if new:
            self.cluster.watch(new, self.parameters.cluster_namespace, self._labels)
            self._watching |= new


def _machine_kind(control_plane: rows.PoolRow) -> Kind:
    template, group = control_plane.infrastructure[1].split(".", 1)
    return infrastructure_kind(template, group, control_plane.infrastructure_version)


def _first(row: tuple[str, object]) -> str:
    return row[0]


def _uid(row: rows.PoolRow) -> str:
    return row.uid
