"""The MachineDeployment and MachineSet controllers of Cluster API v1.14, reduced to what moves machines.

A deletion counts until the object is gone, and a new machine must be available before the next old one goes: with
maxSurge 0 and maxUnavailable 1 that is delete, wait, create, wait, next.
Source: core/reconcilers/machinedeployment/machinedeployment_rollout_rollingupdate.go and machineset_preflight.go.
"""

import hashlib
from typing import TYPE_CHECKING

from guards.simulator.deletion import delete
from guards.simulator.lifecycle import provision, stamp
from guards.simulator.records import MachineRecord, Pool, SetRecord

if TYPE_CHECKING:
    from guards.simulator.world import World

PREFLIGHT_RETRY = 15.0
"""Seconds after which a MachineSet that may not create Machines looks again."""


def reconcile_deployment(world: "World", pool: Pool) -> None:
    """One look of both controllers at a MachineDeployment, its MachineSets and their Machines."""
    if world.is_paused(pool):
        return
    current = current_set(world, pool)
    if not pool.paused and pool.strategy == "RollingUpdate":
        _roll(world, pool, current)
    for machine_set in sets_of(world, pool):
        if not world.is_paused(machine_set):
            _scale(world, machine_set)
    _write_status(world, pool)


def sets_of(world: "World", pool: Pool) -> list[SetRecord]:
    """The MachineSets of a MachineDeployment, the oldest first."""
    return [s for s in world.all("MachineSet") if isinstance(s, SetRecord) and s.deployment is pool]


def current_set(world: "World", pool: Pool) -> SetRecord:
    """The MachineSet with the deployment's template, created with 0 replicas where there is none."""
    sets = sets_of(world, pool)
    found = [s for s in sets if s.template == pool.template]
    return found[0] if found else create_set(world, pool, 0)


def create_set(world: "World", pool: Pool, replicas: int) -> SetRecord:
    digest = hashlib.sha256(repr(pool.template).encode()).hexdigest()[:5]
    name = f"{pool.name}-{digest}"
    labels = {"cluster.x-k8s.io/cluster-name": world.cluster.name, "cluster.x-k8s.io/deployment-name": pool.name}
    machine_set = SetRecord(
        kind="MachineSet", name=name, uid=world.uid("MachineSet", name), created=world.now(), labels=labels, owner=pool,
        deployment=pool, template=pool.template, replicas=replicas,
    )  # fmt: skip
    machine_set.annotations["machinedeployment.clusters.x-k8s.io/revision"] = str(len(sets_of(world, pool)) + 1)
    world.add(machine_set)
    return machine_set


def machines_of(world: "World", machine_set: SetRecord) -> list[MachineRecord]:
    """Its Machines, deleting ones included, the oldest first."""
    return [m for m in world.machines() if m.owner is machine_set]


def _available(machines: list[MachineRecord]) -> int:
    return sum(machine.ready() for machine in machines)


def _roll(world: "World", pool: Pool, current: SetRecord) -> None:
    sets = sets_of(world, pool)
    surge, unavailable = fenceposts(pool)
    existing = sum(max(s.replicas, len(machines_of(world, s))) for s in sets)
    if current.replicas > pool.replicas:
        _set_replicas(world, current, pool.replicas)
    elif current.replicas < pool.replicas and existing < pool.replicas + surge:
        _set_replicas(world, current, min(pool.replicas, current.replicas + pool.replicas + surge - existing))
    old = [s for s in sets if s is not current]
    _shrink(world, pool, current, old, unavailable)


def _shrink(world: "World", pool: Pool, current: SetRecord, old: list[SetRecord], unavailable: int) -> None:
    """Take old machines away: unavailable ones first, available ones only above the floor."""
    sets = [current, *old]
    floor = max(pool.replicas - unavailable, 0)
    wanted = sum(s.replicas for s in sets)
    pending = sum(max(len(machines_of(world, s)) - s.replicas, 0) for s in sets)
    starting = max(current.replicas - _available(machines_of(world, current)), 0)
    spare = wanted - pending - floor - starting
    available = sum(_available(machines_of(world, s)) for s in sets)
    for machine_set in old:
        if spare <= 0:
            return
        up = _available(machines_of(world, machine_set))
        dead = max(machine_set.replicas - up, 0)
        alive = min(up, max(available - floor, 0))
        step = min(dead + alive, spare, machine_set.replicas)
        if step > 0:
            available -= max(step - dead, 0)
            spare -= step
            _set_replicas(world, machine_set, machine_set.replicas - step)


def fenceposts(pool: Pool) -> tuple[int, int]:
    """maxSurge and maxUnavailable in machines: surge rounds up, unavailable down, both zero makes unavailable 1."""
    surge = _share(1 if pool.max_surge is None else pool.max_surge, pool.replicas, up=True)
    unavailable = _share(0 if pool.max_unavailable is None else pool.max_unavailable, pool.replicas, up=False)
    return surge, unavailable if surge or unavailable else 1


def _share(value: int | str, replicas: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    hundredths = int(value.removesuffix("%")) * replicas
    return -(-hundredths // 100) if up else hundredths // 100


def _set_replicas(world: "World", machine_set: SetRecord, replicas: int) -> None:
    machine_set.replicas = replicas
    machine_set.generation += 1
    machine_set.observed = machine_set.generation
    world.touch(machine_set)
    world.poke(machine_set.deployment)


def _scale(world: "World", machine_set: SetRecord) -> None:
    machines = machines_of(world, machine_set)
    for machine in _victims(machines, len(machines) - machine_set.replicas):
        delete(world, machine)
    blocked = _blocked(world, machine_set)
    for _ in range(0 if blocked else machine_set.replicas - len(machines)):
        provision(world, stamp(world, machine_set.deployment, machine_set.template, machine_set))
    if machine_set.replicas > len(machines) and blocked:
        world.engine.after(PREFLIGHT_RETRY, lambda: world.poke(machine_set.deployment))
    _update(world, machine_set, {"blocked": blocked if machine_set.replicas > len(machines) else ""})


def _victims(machines: list[MachineRecord], surplus: int) -> list[MachineRecord]:
    """Deleting ones fill the surplus first, then unavailable ones, then the oldest."""
    by_priority = sorted(machines, key=lambda m: (m.deleted is None, m.ready(), m.created))
    return by_priority[: max(surplus, 0)]


def _blocked(world: "World", machine_set: SetRecord) -> str:
    """The MachineSet preflight checks: no new Machine while the control plane upgrades or is behind. "" = go on."""
    control_plane = world.control_plane
    if control_plane.status.get("version", control_plane.template.version) != control_plane.template.version:
        return (
            f"TalosControlPlane {world.namespace}/{control_plane.name} is upgrading "
            '("ControlPlaneIsStable" preflight check failed)'
        )
    wanted, served = machine_set.template.version, control_plane.template.version
    if _minor(wanted) > _minor(served):
        return (
            f"MachineSet version ({wanted[1:]}) and ControlPlane version ({served[1:]}) do not conform to the "
            "kubernetes version skew policy as MachineSet version is higher than ControlPlane version "
            '("KubernetesVersionSkew" preflight check failed)'
        )
    return ""


def _minor(version: str) -> int:
    return int(version.split(".")[1])


def _write_status(world: "World", pool: Pool) -> None:
    sets = sets_of(world, pool)
    for machine_set in sets:
        _update(world, machine_set, _counters(machines_of(world, machine_set)))
    machines = [m for s in sets for m in machines_of(world, s)]
    current = [m for s in sets if s.template == pool.template for m in machines_of(world, s)]
    pool.observed, before = pool.generation, pool.observed
    _update(world, pool, _counters(machines) | {"updated": len(current)}, force=pool.observed != before)


def _counters(machines: list[MachineRecord]) -> dict[str, object]:
    up_to_date = sum(m.conditions["UpToDate"].status == "True" for m in machines if "UpToDate" in m.conditions)
    return {"replicas": len(machines), "available": _available(machines), "upToDate": up_to_date}


def _update(world: "World", record: Pool | SetRecord, counters: dict[str, object], *, force: bool = False) -> None:
    fresh = record.status | counters
    if force or fresh != record.status:
        record.status = fresh
        world.touch(record)
