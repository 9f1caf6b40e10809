"""A machine's life: stamped, provisioned, booted, joined, Ready; rebooted. Its end is in deletion.

Each step schedules the next with the duration of the machine's plan. `observe` is the Machine controller's write.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from guards.simulator.conditions import (
    Verdict,
    connection_down,
    kept,
    machine_conditions,
    node_verdicts,
    transition,
)
from guards.simulator.records import MachineRecord, Node, Pool, Record, Template
from guards.simulator.timing import NEVER, plan_for

if TYPE_CHECKING:
    from guards.simulator.world import World

CONDITIONS_GRACE = timedelta(minutes=5)
"""How long Cluster API keeps the last node conditions without contact (--remote-conditions-grace-period)."""

NODE_GRACE = 40.0
"""Seconds without a heartbeat until Kubernetes calls a Node Unknown."""

RETRY = 10.0
"""Seconds after which a controller, or a starting etcd, tries again what it could not do."""


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
    """The next step of coming up: given up once the machine is being deleted, or rebooted."""
    boots = machine.boots
    world.engine.after(seconds, lambda: None if machine.deleted or machine.boots != boots else step())


def _noticed(world: "World", machine: MachineRecord) -> None:
    observe(world, machine)
    _then(world, machine, machine.plan.bootstrap, lambda: _bootstrapped(world, machine))


def _bootstrapped(world: "World", machine: MachineRecord) -> None:
    machine.bootstrap_ready = True
    world.touch(machine.config)
    observe(world, machine)


def _provisioned(world: "World", machine: MachineRecord) -> None:
    machine.infrastructure_ready, machine.booted_at = True, world.now()
    world.touch(machine.infrastructure)
    observe(world, machine)
    _then(world, machine, machine.plan.boot, lambda: _joined(world, machine))


def _joined(world: "World", machine: MachineRecord) -> None:
    machine.node = Node(name=machine.name, boot_id=_boot_id(world, machine))
    observe(world, machine)
    if machine.pool.scope == "control-plane":
        world.etcd.join(machine)
    _then(world, machine, machine.plan.settle, lambda: _settled(world, machine))
    _then(world, machine, machine.plan.ready, lambda: _ready(world, machine))


def _boot_id(world: "World", machine: MachineRecord) -> str:
    return world.uid("boot", f"{machine.name}/{machine.boots}" if machine.boots else machine.name)


def _settled(world: "World", machine: MachineRecord) -> None:
    if machine.pool.scope == "control-plane" and not world.etcd.promote(machine):
        _then(world, machine, RETRY, lambda: _settled(world, machine))
        return
    machine.booted = True
    world.poke(machine.pool)


def _ready(world: "World", machine: MachineRecord) -> None:
    if machine.node is not None and not machine.node.off and machine.plan.ready != NEVER:
        machine.node.status, machine.node.message = "True", ""
    observe(world, machine)


def settle(world: "World", machine: MachineRecord) -> None:
    """Put a stamped machine into service at once: how every machine of the first look began."""
    machine.server = machine.address = world.servers.new()
    machine.bootstrap_ready = machine.infrastructure_ready = machine.booted = True
    machine.booted_at = world.now()
    machine.node = Node(name=machine.name, boot_id=_boot_id(world, machine), status="True", message="")
    if machine.pool.scope == "control-plane":
        world.etcd.found(machine)
    observe(world, machine)


def reboot(world: "World", machine: MachineRecord) -> None:
    """The kernel starts again: away for a while, then the boot from its beginning. Heals all but what is broken."""
    machine.boots += 1
    machine.away, machine.booted = True, False
    world.reboots.setdefault(machine.uid, []).append(world.now())
    lose_node(world, machine)
    _then(world, machine, machine.plan.reboot, lambda: _returned(world, machine))


def lose_node(world: "World", machine: MachineRecord) -> None:
    """No heartbeat from now on: down at once, seen as Unknown after the grace."""
    world.poke(machine.pool)
    if machine.node is not None:
        machine.node.off = True
        world.engine.after(NODE_GRACE, lambda: _silent(world, machine))


def _silent(world: "World", machine: MachineRecord) -> None:
    if machine.node is not None and machine.node.off:
        machine.node.status, machine.node.message = "Unknown", "Kubelet stopped posting node status."
        observe(world, machine)


def _returned(world: "World", machine: MachineRecord) -> None:
    if not machine.away:
        return  # the power went meanwhile
    machine.away, machine.etcd_stopped, machine.booted_at = False, False, world.now()
    world.etcd.give_back(machine)
    healed = machine.name not in world.broken
    if healed:
        machine.plan = machine.plan.healed(plan_for(world.timings, world.seed, machine.name))
    if machine.node is None:
        _then(world, machine, machine.plan.boot, lambda: _joined(world, machine))
        return
    machine.node = Node(name=machine.name, boot_id=_boot_id(world, machine), removed=machine.node.removed)
    world.touch(machine)  # the boot id, if nothing else
    observe(world, machine)
    _then(world, machine, machine.plan.settle, lambda: _settled(world, machine))
    if healed:
        _then(world, machine, machine.plan.ready, lambda: _ready(world, machine))


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
