"""What goes wrong in a world: machines that die or answer oddly, links that break, people who intervene."""

from typing import TYPE_CHECKING

from guards.core.evidence import Silence
from guards.simulator import lifecycle
from guards.simulator.deletion import delete as delete_machine
from guards.simulator.records import Condition, MachineRecord, Node, RebootFault
from guards.simulator.stored import Stored
from guards.simulator.timing import NEVER
from guards.simulator.world import PAUSED, World

if TYPE_CHECKING:
    from guards.simulator.simulation import Simulation

PROBE_GRACE = 50.0
"""Seconds without contact until RemoteConnectionProbe turns False (--remote-connection-grace-period)."""


def power_loss(world: World, name: str) -> None:
    """The hardware dies: down at once, seen as Unknown after the node's grace."""
    machine, _ = _running(world, name)
    machine.away = False
    lifecycle.lose_node(world, machine)


def not_ready(world: World, name: str, message: str = "container runtime is down") -> None:
    """The kubelet reports NotReady: down and seen at once."""
    machine, node = _running(world, name)
    node.status, node.message = "False", message
    lifecycle.observe(world, machine)


def hang(world: World, name: str) -> None:
    """A machine that a reboot heals: NotReady from now on, or never Ready where it is still to come."""
    world.plan(name, ready=NEVER)
    machine = world.machine(name)
    if machine is not None and machine.node is not None:
        not_ready(world, name)


def break_down(world: World, name: str) -> None:
    """The same, and no reboot heals it: only a new Machine helps."""
    world.broken.add(name)
    hang(world, name)


def recover(world: World, name: str) -> None:
    """The machine is back, power and kubelet."""
    machine, node = _running(world, name)
    if node.off:
        machine.booted_at = world.now()
    node.off, node.status, node.message = False, "True", ""
    lifecycle.observe(world, machine)


def _running(world: World, name: str) -> tuple[MachineRecord, Node]:
    machine = named(world, name)
    assert machine.node is not None, f"Machine {name} has no Node yet"
    return machine, machine.node


def silence(world: World, name: str, why: Silence | None) -> None:
    """The Talos API of this machine gives no usable answer; None ends it."""
    named(world, name).apid.silence = why


def rename(world: World, name: str, hostname: str) -> None:
    """The machine says that it is another one."""
    named(world, name).apid.hostname = hostname


def stage(world: World, name: str, stage: str) -> None:
    """The machine is in this stage (installing, upgrading, resetting, ...); "" ends it."""
    named(world, name).apid.stage = stage


def reboot_fault(world: World, name: str, fault: RebootFault | None) -> None:
    """Requests to reboot this machine go wrong; None ends it."""
    named(world, name).apid.reboot = fault


def virtual_address(world: World, address: str, listed_by: str, answered_by: str) -> None:
    """Cluster API lists a virtual address first for one machine, and another machine answers there."""
    machine = named(world, listed_by)
    machine.virtual.append(address)
    world.virtual[address] = answered_by
    world.touch(machine)


def named(world: World, name: str) -> MachineRecord:
    """The Machine of this name."""
    machine = world.machine(name)
    assert machine is not None, f"there is no Machine {name}"
    return machine


def cut_workload(world: World) -> None:
    """Cluster API loses the workload cluster's API: the probe fails after a while, conditions go dark later."""
    cluster = world.cluster
    lost_at = cluster.contact_lost_at = world.now()

    def fail_probe() -> None:
        if cluster.contact_lost_at == lost_at:
            text = f"Remote connection probe failed, probe last succeeded at {lost_at:%Y-%m-%dT%H:%M:%SZ}"
            cluster.probe = Condition("False", "ProbeFailed", text, world.now())
            world.touch(cluster)

    world.engine.after(PROBE_GRACE, fail_probe)
    world.engine.after(lifecycle.CONDITIONS_GRACE.total_seconds() + 1, world.look_again)


def restore_workload(world: World) -> None:
    """The workload API answers again."""
    cluster = world.cluster
    cluster.contact_lost_at = None
    if cluster.probe.status != "True":
        cluster.probe = Condition("True", "ProbeSucceeded", "", world.now())
        world.touch(cluster)
    world.look_again()


def delete(world: World, name: str) -> None:
    """A person deletes a Machine."""
    delete_machine(world, named(world, name))


def pause(world: World, kind: str, name: str) -> None:
    """Someone pauses the Cluster (its spec) or any other object (annotation)."""
    record = world.find(kind, name)
    assert record is not None, f"there is no {kind} {name}"
    if record is world.cluster:
        world.cluster.paused = True
        record.generation += 1
        record.observed = record.generation
    else:
        record.annotations[PAUSED] = "true"
    world.touch(record)


def resume(world: World, kind: str, name: str) -> None:
    """The pause is over."""
    record = world.find(kind, name)
    assert record is not None, f"there is no {kind} {name}"
    world.cluster.paused = False if record is world.cluster else world.cluster.paused
    record.annotations.pop(PAUSED, None)
    world.touch(record)
    world.look_again()


def edit_lease(world: World, name: str, **spec: object) -> None:
    """Somebody else writes these fields of a Lease's spec."""
    lease = _lease(world, name)
    lease.body = lease.body | {"spec": lease.body.get("spec", {}) | spec}
    world.touch(lease)


def drop_lease(world: World, name: str) -> None:
    """Somebody deletes a Lease."""
    world.remove(_lease(world, name))


def _lease(world: World, name: str) -> Stored:
    lease = world.find("Lease", name)
    assert isinstance(lease, Stored), f"there is no Lease {name}"
    return lease


def cut_management(simulation: "Simulation", seconds: float) -> None:
    """The management API does not answer for so long; the world goes on behind it."""
    simulation.reachable = False

    def back() -> None:
        simulation.reachable = True
        simulation.resync()

    simulation.engine.after(seconds, back)
