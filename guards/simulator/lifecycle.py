"""A machine's life: stamped, provisioned, booted, joined, Ready; deleted, drained, wiped, gone.

Each step schedules the next with the duration of the machine's plan. `observe` is the Machine controller's write.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from guards.simulator.conditions import (
    DELETION_OVERDUE,
    Verdict,
    connection_down,
    kept,
    machine_conditions,
    node_verdicts,
    transition,
)
from guards.simulator.records import MachineRecord, Node, Pool, Record, Template
from guards.simulator.timing import plan_for

if TYPE_CHECKING:
    from guards.simulator.world import World

CONDITIONS_GRACE = timedelta(minutes=5)
"""How long Cluster API keeps the last node conditions without contact (--remote-conditions-grace-period)."""

RETRY = 10.0
"""Seconds after which the Machine controller tries again what it could not do."""


def stamp(world: "World", pool: Pool, template: Template, owner: Record) -> MachineRecord:
    """Create a Machine with its TalosConfig and infrastructure machine, in no server yet."""
    name = world.next_name(pool)
    labels = {"cluster.x-k8s.io/cluster-name": world.cluster.name} | _role_labels(pool, owner)
    alone = pool.scope == "workers"  # MachineSets give all three objects one name, CACPPT does not
    config = world.record("TalosConfig", name if alone else f"{name}-config", labels)
    infrastructure = world.record("MetalMachine", name if alone else f"{name}-metal", labels)
    machine = MachineRecord(
        kind="Machine", name=name, uid=world.uid("Machine", name), created=world.now(), labels=labels, owner=owner,
        pool=pool, template=template, plan=world.plans.get(name) or plan_for(world.timings, world.seed, name),
        config=config, infrastructure=infrastructure, observed=0,
    )  # fmt: skip
    config.owner = infrastructure.owner = machine
    for record in (config, infrastructure, machine):
        world.add(record)
    return machine


def _role_labels(pool: Pool, owner: Record) -> dict[str, str]:
    if pool.scope == "control-plane":
        return {"cluster.x-k8s.io/control-plane": ""}
    return {"cluster.x-k8s.io/deployment-name": pool.name, "cluster.x-k8s.io/set-name": owner.name}


def provision(world: "World", machine: MachineRecord) -> None:
    """Let a stamped machine come up, as soon as its pool has a free server."""
    _then(world, machine, machine.plan.notice, lambda: _noticed(world, machine))
    world.servers.claim(machine)


def power_on(world: "World", machine: MachineRecord) -> None:
    """The machine has a server: install and boot it."""
    plan = machine.plan
    _then(world, machine, plan.notice + plan.bootstrap + plan.provision, lambda: _provisioned(world, machine))


def _then(world: "World", machine: MachineRecord, seconds: float, step: Callable[[], None]) -> None:
    """The next step of coming up: given up once the machine is being deleted."""
    world.engine.after(seconds, lambda: None if machine.deleted else step())


def _noticed(world: "World", machine: MachineRecord) -> None:
    observe(world, machine)
    _then(world, machine, machine.plan.bootstrap, lambda: _bootstrapped(world, machine))


def _bootstrapped(world: "World", machine: MachineRecord) -> None:
    machine.bootstrap_ready = True
    world.touch(machine.config)
    observe(world, machine)


def _provisioned(world: "World", machine: MachineRecord) -> None:
    machine.infrastructure_ready = True
    world.touch(machine.infrastructure)
    observe(world, machine)
    _then(world, machine, machine.plan.boot, lambda: _joined(world, machine))


def _joined(world: "World", machine: MachineRecord) -> None:
    machine.node = Node(name=machine.name, boot_id=world.uid("boot", machine.name))
    observe(world, machine)
    _then(world, machine, machine.plan.settle, lambda: _settled(world, machine))
    _then(world, machine, machine.plan.ready, lambda: _ready(world, machine))


def _settled(world: "World", machine: MachineRecord) -> None:
    machine.booted = True
    world.poke(machine.pool)


def _ready(world: "World", machine: MachineRecord) -> None:
    if machine.node is not None and not machine.node.off:
        machine.node.status, machine.node.message = "True", ""
    observe(world, machine)


def settle(world: "World", machine: MachineRecord) -> None:
    """Put a stamped machine into service at once: how every machine of the first look began."""
    machine.server = machine.bootstrap_ready = machine.infrastructure_ready = machine.booted = True
    machine.node = Node(name=machine.name, boot_id=world.uid("boot", machine.name), status="True", message="")
    observe(world, machine)


def delete(world: "World", machine: MachineRecord) -> None:
    """Set the deletionTimestamp; the finalizer keeps the object until the server is wiped. Twice does no more."""
    if machine.deleted is not None:
        return
    machine.deleted = world.now()
    machine.generation += 1
    world.touch(machine)
    world.poke(machine.pool)
    world.engine.after(machine.plan.notice, lambda: _deletion_noticed(world, machine))


def remove_node(world: "World", machine: MachineRecord) -> None:
    """CACPPT deletes the Node object right after the Machine: nothing is drained then."""
    if machine.node is not None:
        machine.node.removed = True


def _deletion_noticed(world: "World", machine: MachineRecord) -> None:
    if world.is_paused(machine):
        world.engine.after(RETRY, lambda: _deletion_noticed(world, machine))
        return
    if machine.node is None or machine.node.removed:
        _drained(world, machine)
        return
    machine.deleting, machine.drain_started = "DrainingNode", world.now()
    observe(world, machine)
    world.engine.after(machine.plan.drain, lambda: _drained(world, machine))
    world.engine.after(DELETION_OVERDUE.total_seconds() + 1, lambda: observe(world, machine))


def _drained(world: "World", machine: MachineRecord) -> None:
    draining = machine.deleting == "DrainingNode"
    if world.is_paused(machine) or (draining and not world.workload_reachable):
        world.engine.after(RETRY, lambda: _drained(world, machine))
        return
    machine.deleting = "WaitingForInfrastructureDeletion"
    if machine.node is not None:
        machine.node.off = True
    observe(world, machine)
    world.engine.after(machine.plan.shutdown, lambda: _wiped(world, machine))


def _wiped(world: "World", machine: MachineRecord) -> None:
    machine.infrastructure_gone, machine.deleting = True, "DeletingNode"
    world.remove(machine.infrastructure)
    world.remove(machine.config)
    world.servers.release(machine)
    observe(world, machine)
    world.engine.after(machine.plan.finalize, lambda: _gone(world, machine))


def _gone(world: "World", machine: MachineRecord) -> None:
    world.remove(machine)
    world.poke(machine.pool)


def observe(world: "World", machine: MachineRecord) -> None:
    """What the Machine controller sees and writes now. A paused Machine stays as it was written last."""
    if not world.exists(machine) or world.is_paused(machine):
        return
    verdicts = machine_conditions(machine, world.now(), _node_verdicts(world, machine))
    fresh = transition(machine.conditions, verdicts, world.now())
    seen = machine.node.name if machine.node and world.workload_reachable else machine.node_seen
    if (fresh, seen, machine.generation) == (machine.conditions, machine.node_seen, machine.observed):
        return
    machine.conditions, machine.node_seen, machine.observed = fresh, seen, machine.generation
    world.touch(machine)
    world.poke(machine.pool)


def _node_verdicts(world: "World", machine: MachineRecord) -> tuple[Verdict, Verdict]:
    """Without contact the last verdicts stay for the grace period, then they turn to ConnectionDown."""
    lost_at = world.cluster.contact_lost_at
    if lost_at is None:
        return node_verdicts(machine)
    if world.now() - lost_at <= CONDITIONS_GRACE and (last := kept(machine)) is not None:
        return last
    return connection_down(lost_at)
