"""Rows -> Snapshot: owner chains verified by UID, each machine compared with what its pool wants. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from guards.core.model import ClusterFacts, Machine, Pool, Snapshot
from guards.kube.health_checks import HealthCheckRow, health_checks
from guards.kube.rows import MachineRow, PoolRow
from guards.kube.templates import Fingerprints, talos_differences, template_differences
from guards.parameters import Scope


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows of one look. `control_plane` None: the Cluster has no TalosControlPlane, or it is out of scope."""

    cluster: ClusterFacts
    control_plane: PoolRow | None
    deployments: tuple[PoolRow, ...]
    machine_sets: tuple[PoolRow, ...]
    machines: tuple[MachineRow, ...]
    talos_configs: Mapping[str, Fingerprints]
    infrastructure: Mapping[str, tuple[str, str] | None]
    health_checks: tuple[HealthCheckRow, ...] = ()


def assemble(rows: Rows, taken_at: datetime) -> Snapshot:
    deployments = {row.uid: row for row in rows.deployments if row.cluster == rows.cluster.name}
    sets = {row.uid: row for row in rows.machine_sets if _owned_by(row, "MachineDeployment", deployments)}
    machines = tuple(_machine(row, rows, deployments, sets) for row in rows.machines)
    pools = [_control_plane(rows.control_plane)] if rows.control_plane else []
    pools += [
        _deployment(row, [s for s in sets.values() if s.owner[1] == row.uid], taken_at) for row in deployments.values()
    ]
    return Snapshot(
        taken_at=taken_at,
        cluster=rows.cluster,
        pools=tuple(sorted(pools, key=lambda pool: (pool.scope, pool.name))),
        machines=tuple(sorted(machines, key=lambda machine: machine.name)),
        notes=tuple(_notes(rows.machines)),
        health_checks=health_checks(
            rows.health_checks, rows.cluster.name, [(row.name, row.labels) for row in rows.machines]
        ),
    )


def _notes(machines: Iterable[MachineRow]) -> Iterable[str]:
    if any(row.old_conditions for row in machines):
        yield (
            "Cluster API before 1.9 writes no v1beta2 conditions: NodeHealthy stands in for Ready, "
            "upgrade to see deleting and provisioning states"
        )


def _owned_by(row: MachineRow | PoolRow, kind: str, owners: Mapping[str, PoolRow]) -> bool:
    return row.owner[0] == kind and row.owner[1] in owners


def _control_plane(row: PoolRow) -> Pool:
    paused = (f"{row.kind} {row.name}",) if row.paused else ()
    return _pool(row, Scope.CONTROL_PLANE, paused, ())


def _deployment(row: PoolRow, sets: list[PoolRow], now: datetime) -> Pool:
    paused = [f"{one.kind} {one.name}" for one in [row, *sets] if one.paused]
    unfinished = [
        f"MachineSet {one.name} of an older template still has {max(one.replicas, one.status_replicas)} replicas"
        for one in sets
        if not _is_current(one, row, now) and max(one.replicas, one.status_replicas)
    ]
    if not any(_is_current(one, row, now) for one in sets):
        unfinished.append("there is no MachineSet for the current template yet")
    return _pool(row, Scope.WORKERS, tuple(paused), tuple(unfinished))


def _is_current(machine_set: PoolRow, deployment: PoolRow, now: datetime) -> bool:
    after = deployment.rollout_after
    outrun = after is not None and machine_set.created_at < after <= now
    return machine_set.template == deployment.template and not outrun


def _pool(row: PoolRow, scope: Scope, paused: tuple[str, ...], unfinished: tuple[str, ...]) -> Pool:
    return Pool(
        kind=row.kind,
        name=row.name,
        uid=row.uid,
        scope=scope,
        generation=row.generation,
        replicas=row.replicas,
        strategy=row.strategy,
        paused=paused,
        deleting=row.deleting,
        unfinished=unfinished,
    )


def _machine(row: MachineRow, rows: Rows, deployments: Mapping[str, PoolRow], sets: Mapping[str, PoolRow]) -> Machine:
    pool = stranger = ""
    outdated: tuple[str, ...] = ()
    if row.cluster != rows.cluster.name:
        stranger = f"belongs to Cluster {row.cluster or '(none)'} by spec.clusterName"
    elif row.control_plane and rows.control_plane and row.owner == ("TalosControlPlane", rows.control_plane.uid):
        pool = rows.control_plane.name
        outdated = _control_plane_differences(row, rows.control_plane, rows)
    elif not row.control_plane and _owned_by(row, "MachineSet", sets):
        machine_set = sets[row.owner[1]]
        deployment = deployments[machine_set.owner[1]]
        pool = deployment.name
        outdated = template_differences(machine_set.template, deployment.template)
    else:
        stranger = f"is owned by an unknown {row.owner[0]}" if row.owner[0] else "has no owner"
    return Machine(
        name=row.name,
        uid=row.uid,
        scope=Scope.CONTROL_PLANE if row.control_plane else Scope.WORKERS,
        pool=pool,
        stranger=stranger,
        created_at=row.created_at,
        deleting_since=row.deleting_since,
        deletion=row.deletion,
        ready=row.ready.status,
        ready_reason=row.ready.reason,
        ready_since=row.ready.since,
        dark=row.dark,
        connection_down=row.connection_down,
        node=row.node,
        infrastructure_ready=row.infrastructure_ready,
        outdated=outdated,
        paused=row.paused,
        resource_version=row.resource_version,
        addresses=row.addresses,
        hands_off=row.hands_off,
    )


def _control_plane_differences(row: MachineRow, wanted: PoolRow, rows: Rows) -> tuple[str, ...]:
    """As the real provider compares: a missing TalosConfig or infrastructure machine counts as equal."""
    found = []
    if row.version != wanted.version:
        found.append(f"version {row.version or 'absent'}, wanted {wanted.version}")
    origin = rows.infrastructure.get(row.infrastructure)
    if origin is not None and origin != wanted.infrastructure:
        found.append(f"infrastructure {' '.join(reversed(origin))}, wanted {' '.join(reversed(wanted.infrastructure))}")
    talos = rows.talos_configs.get(row.bootstrap)
    if talos is not None and wanted.talos is not None:
        found += talos_differences(talos, wanted.talos)
    return tuple(found)
