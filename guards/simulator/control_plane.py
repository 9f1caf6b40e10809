"""CACPPT (the Talos control-plane provider, v0.5.13) rolling with the runbook's maxSurge.

Delete the oldest outdated machine, wait until the object is gone, create one, wait for its Node, etcd and the end of
its boot sequence (not for Ready) and go on to the next: the hand-over of facts is real here.
Source: cluster-api-control-plane-provider-talos v0.5.12, controllers/{upgrade,scale,taloscontrolplane_controller}.go.
"""

from typing import TYPE_CHECKING

from guards.simulator.deletion import delete, remove_node
from guards.simulator.lifecycle import provision, stamp
from guards.simulator.records import MachineRecord, Pool

if TYPE_CHECKING:
    from guards.simulator.world import World


def reconcile_control_plane(world: "World", pool: Pool) -> None:
    """One look at a TalosControlPlane: status first, then at most one machine created or deleted."""
    if world.is_paused(pool):
        return
    machines = world.machines(pool)
    if all(m.node_seen for m in machines):
        world.etcd.audit({m.name for m in machines})
    _write_status(world, pool, machines)
    outdated = [m for m in machines if m.deleted is None and not m.up_to_date]
    if pool.strategy == "OnDelete":
        outdated = []
    surge = _int_value(pool.max_surge) if outdated else 0
    if len(machines) < pool.replicas + surge:
        provision(world, stamp(world, pool, pool.template, pool))
    elif outdated or len(machines) > pool.replicas:
        _scale_down(world, machines, outdated)


def _int_value(max_surge: int | str | None) -> int:
    """As IntOrString.IntValue(): texts that are no number act as 0; absent acts as 1."""
    if max_surge is None:
        return 1
    return int(max_surge) if isinstance(max_surge, int) or max_surge.isdecimal() else 0


def _scale_down(world: "World", machines: list[MachineRecord], outdated: list[MachineRecord]) -> None:
    if len(machines) == 1 or not world.workload_reachable:
        return
    booted = all(m.booted for m in machines)
    joined = all(m.node_seen for m in machines)
    if not (booted and joined and etcd_healthy(world, machines)) or any(m.deleted for m in machines):
        return
    victim = min(outdated or machines, key=lambda m: m.created)
    world.etcd.leave(victim)  # whether it left is not looked at
    delete(world, victim)
    remove_node(world, victim)


def etcd_healthy(world: "World", machines: list[MachineRecord]) -> bool:
    """Every machine that stays has a voter that runs, and there are no others. A Node that is NotReady does not matter.

    A Machine deleted by others keeps its member until the audit: unhealthy for so long.
    """
    staying = {m.name for m in machines if m.deleted is None}
    return {m.name for m in world.etcd.voters if m.up} == staying and len(world.etcd.members) == len(staying)


def _write_status(world: "World", pool: Pool, machines: list[MachineRecord]) -> None:
    """The provider's counters, with their traps: `ready` counts Nodes, `version` the slowest Machine."""
    ready = sum(m.node is not None and m.node.serving for m in machines) if world.workload_reachable else 0
    ready = min(ready, pool.replicas)
    outdated = any(m.deleted is None and not m.up_to_date for m in machines)
    rolled = "rolling" in pool.status or outdated
    fresh: dict[str, object] = {
        "replicas": len(machines),
        "ready": ready,
        "unavailable": max(pool.replicas - ready, 0),
        "version": min((m.template.version for m in machines), default=pool.template.version, key=_parts),
        "etcd": etcd_healthy(world, machines) and world.workload_reachable,
    }
    if rolled:
        fresh["rolling"] = outdated
    if fresh != pool.status or pool.observed != pool.generation:
        pool.status, pool.observed = fresh, pool.generation
        world.touch(pool)


def _parts(version: str) -> list[int]:
    return [int(part) for part in version.removeprefix("v").split(".")]
