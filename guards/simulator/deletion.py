"""The end of a machine's life: deleted, drained, wiped, gone. Each step schedules the next, as in lifecycle."""

from typing import TYPE_CHECKING

from guards.simulator.conditions import DELETION_OVERDUE
from guards.simulator.lifecycle import RETRY, observe
from guards.simulator.records import MachineRecord

if TYPE_CHECKING:
    from guards.simulator.world import World


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
    machine.booted_at = None
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
