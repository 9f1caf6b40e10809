"""What goes wrong with etcd: members that stop, leave, never start, or tell another story than the rest."""

from guards.simulator.etcd import EtcdMember
from guards.simulator.faults import named
from guards.simulator.world import World


def stop_etcd(world: World, name: str) -> None:
    """The machine's etcd does not run, until the machine is rebooted."""
    named(world, name).etcd_stopped = True
    world.poke(world.control_plane)


def leave_etcd(world: World, name: str) -> None:
    """The member has left, and the Machine stays (CACPPT #237: the leave went through, the delete did not)."""
    left = world.etcd.leave(named(world, name))
    assert left, f"{name} cannot leave etcd now: {world.etcd.members}"
    world.poke(world.control_plane)


def demote(world: World, name: str) -> None:
    """The member is a learner, until the machine is rebooted."""
    _member(world, name).learner = True
    world.poke(world.control_plane)


def unstart(world: World, name: str) -> None:
    """The member is listed without a name: it was added and has never started."""
    _member(world, name).name = ""


def raise_alarm(world: World, name: str, alarm: str = "NOSPACE") -> None:
    """The member raises an alarm that all members report."""
    world.etcd.alarms.append(f"{alarm} of member {_member(world, name).id:x}")


def report_errors(world: World, name: str, *errors: str) -> None:
    """The member reports these errors about itself; none ends it."""
    named(world, name).apid.etcd_errors = errors


def leaderless(world: World, name: str, *, value: bool = True) -> None:
    """The member knows of no leader."""
    named(world, name).apid.leaderless = value


def differ(world: World, name: str, unlisted: str) -> None:
    """The member list of one machine lacks the member of another; "" ends it."""
    named(world, name).apid.unlisted = unlisted


def _member(world: World, name: str) -> EtcdMember:
    member = world.etcd.member_of(named(world, name))
    assert member is not None, f"{name} has no etcd member"
    return member
