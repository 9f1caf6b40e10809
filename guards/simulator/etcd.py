"""etcd of the simulated control plane: the truth that every machine's own view is cut from.

Only a quorum of voters elects a leader and changes the membership, under the conditions of etcd's strict
reconfiguration check. Source: etcd v3.6, server/etcdserver/server.go, mayAddMember and mayRemoveMember.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from guards.simulator.records import MachineRecord

if TYPE_CHECKING:
    from guards.simulator.world import World


@dataclass(slots=True, eq=False)
class EtcdMember:
    id: int
    machine: MachineRecord
    """Whose member it is, also after the machine is gone: then it is stale."""
    name: str
    """"" while the member has not started."""
    learner: bool = True

    @property
    def up(self) -> bool:
        return self.machine.powered and not self.machine.etcd_stopped


@dataclass(frozen=True, slots=True)
class Loss:
    """The first instant without a quorum, by the Machine UIDs of the members."""

    at: datetime
    voters: frozenset[str]
    up: frozenset[str]
    taken: frozenset[str]
    """Healthy voters that had been taken away through the doors, voters still or removed since."""


class Etcd:
    """The member list, and what became of it."""

    def __init__(self, world: "World") -> None:
        self.members: list[EtcdMember] = []
        self.leader = 0
        """Member id; 0 = nobody leads."""
        self.alarms: list[str] = []
        """As `NOSPACE of member 1a2b`."""
        self.loss: Loss | None = None
        self._world = world
        self._taken: set[str] = set()
        self._joined = 0

    def member_of(self, machine: MachineRecord) -> EtcdMember | None:
        return next((member for member in self.members if member.machine is machine), None)

    @property
    def voters(self) -> list[EtcdMember]:
        return [member for member in self.members if not member.learner]

    @property
    def has_quorum(self) -> bool:
        return sum(member.up for member in self.voters) >= quorum(len(self.voters))

    # Membership

    def found(self, machine: MachineRecord) -> None:
        """A voter of the first hour."""
        self._add(machine).learner = False

    def join(self, machine: MachineRecord) -> bool:
        """Add the machine's member as a learner: only while every voter is up."""
        if self.member_of(machine) is not None:
            return True
        if not self.has_quorum or not all(member.up for member in self.voters):
            return False
        self._add(machine)
        return True

    def _add(self, machine: MachineRecord) -> EtcdMember:
        self._joined += 1
        uid = self._world.uid("EtcdMember", str(self._joined))
        self.members.append(EtcdMember(id=int(uid.replace("-", "")[:16], 16), machine=machine, name=machine.name))
        return self.members[-1]

    def promote(self, machine: MachineRecord) -> bool:
        """Make the machine's member a voter, added first where there is none. Whether it is one now."""
        member = self.member_of(machine) if self.join(machine) else None
        if member is not None and self.has_quorum:
            member.learner = False
        return member is not None and not member.learner

    def leave(self, machine: MachineRecord) -> bool:
        """The graceful way out: by the member itself. Whether it is out now."""
        member = self.member_of(machine)
        return member is None or (member.up and self._remove(member))

    def audit(self, names: Collection[str]) -> None:
        """CACPPT force-removes every member that no Machine has the name of."""
        for member in [m for m in self.members if m.name and m.name not in names]:
            self._remove(member)

    def _remove(self, member: EtcdMember) -> bool:
        active = sum(m.up for m in self.voters)
        spared = 1 + (len(self.voters) - 1) // 2
        costly = member.up and not member.learner
        if not self.has_quorum or (costly and active - 1 < spared):
            return False
        self.members.remove(member)
        return True

    # The truth

    def look(self) -> None:
        """Elect a leader where there is none, and notice the loss of the quorum."""
        voters = self.voters
        if not self.has_quorum:
            self.leader = 0
            if self.loss is None and voters:
                up = _uids([member for member in voters if member.up])
                self.loss = Loss(self._world.now(), _uids(voters), up, frozenset(self._taken))
        elif not any(member.up and member.id == self.leader for member in voters):
            self.leader = next(member.id for member in voters if member.up)

    def take(self, machine: MachineRecord) -> None:
        """Somebody takes this machine away through the doors: remembered if it is a healthy voter."""
        member = self.member_of(machine)
        if member is not None and member.up and not member.learner:
            self._taken.add(machine.uid)

    def give_back(self, machine: MachineRecord) -> None:
        self._taken.discard(machine.uid)

    def lost_by(self, uids: Collection[str]) -> bool:
        """Whether there was a loss, and would have been none with the taken members (of `uids`, if given) in place."""
        if self.loss is None:
            return False
        taken = self.loss.taken & frozenset(uids) if uids else self.loss.taken
        return len(self.loss.up | taken) >= quorum(len(self.loss.voters | taken))


def quorum(voters: int) -> int:
    return voters // 2 + 1


def _uids(members: list[EtcdMember]) -> frozenset[str]:
    return frozenset(member.machine.uid for member in members)
