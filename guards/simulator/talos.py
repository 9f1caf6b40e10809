"""The machines of a simulated cluster through their Talos API: guards.talos.ports over the world's truth."""

from collections.abc import Iterable
from datetime import timedelta

from guards.core.evidence import Answer, Credential, EtcdView, Member, Round, Silence, Silent, Target
from guards.parameters import RebootMode
from guards.simulator import lifecycle
from guards.simulator.etcd import EtcdMember
from guards.simulator.records import MachineRecord, RebootFault
from guards.simulator.wire_machines import TALOS
from guards.simulator.world import World
from guards.talos.ports import BadCredential, Refused, TalosError, Unproven

REBOOTABLE = ("booting", "running")
"""Stages whose sequence gives way to a reboot; the others hold the lock: OK, and nothing happens."""

_SEEN = {
    Silence.UNREACHABLE: "connection refused",
    Silence.UNKNOWN_AUTHORITY: "its certificate is signed by unknown authority",
    Silence.STRANGER: "a plain-text server",
    Silence.DENIED: "PermissionDenied",
    Silence.BROKEN: "the answer is no MachineStatus",
    Silence.NOT_ASKED: "not asked",
}


class SimulatedTalos:
    """TalosMachines. Levers: `roles`, `not_after`, `unusable` here; what single machines answer is in faults."""

    def __init__(self, world: World) -> None:
        self.roles: tuple[str, ...] = ("os:operator",)
        self.not_after = world.now() + timedelta(days=365)
        self.unusable: TalosError | None = None
        """NoCredential or BadCredential: raised instead of a credential."""
        self._world = world

    def credential(self) -> Credential:
        if self.unusable is not None:
            raise self.unusable
        if self.not_after <= self._world.now():
            raise BadCredential(
                f"talosconfig: the client certificate has expired at {self.not_after:%Y-%m-%dT%H:%M:%SZ}"
            )
        return Credential(self.roles, self.not_after)

    def ask(self, targets: Iterable[Target]) -> Round:
        asked = list(targets)
        found = {target.uid: self._first(target) for target in asked}
        return Round(
            begun_at=self._world.now(),
            machines={uid: m if isinstance(m, Silent) else self._answer(at, m) for uid, (at, m) in found.items()},
            etcd={target.uid: self._etcd(*found[target.uid]) for target in asked if target.control_plane},
        )

    def reboot(self, machine: Answer, mode: RebootMode) -> None:
        address = machine.address
        found = self._usable(address)
        if isinstance(found, Silent):
            raise Refused(found.text)
        answer = self._answer(address, found)
        if (answer.hostname, answer.boot_time) != (machine.hostname, machine.boot_time):
            raise Refused(f"{address}: {answer.hostname} answers here now, expected {machine.hostname}")
        self._reboot(address, found)

    def _reboot(self, address: str, machine: MachineRecord) -> None:
        match machine.apid.reboot:
            case RebootFault.REFUSED:
                raise Refused(f"{address}: Reboot: PermissionDenied")
            case RebootFault.LOST_BEFORE:
                raise Unproven(f"{address}: no answer to Reboot: connection reset")
            case RebootFault.IGNORED:
                return
        if _stage(machine) not in REBOOTABLE:
            return
        self._world.etcd.take(machine)
        lifecycle.reboot(self._world, machine)
        if machine.apid.reboot is RebootFault.LOST_AFTER:
            raise Unproven(f"{address}: no answer to Reboot: connection reset")

    # One machine

    def _first(self, target: Target) -> tuple[str, MachineRecord | Silent]:
        """The first address of the target that answers, and who answers there; else the last silence."""
        address, found = "", _silent("", Silence.NOT_ASKED, "there is no address to ask")
        for address in target.addresses:
            answered = self._usable(address)
            if not isinstance(answered, Silent):
                return address, answered
            found = answered
        return address, found

    def _usable(self, address: str) -> MachineRecord | Silent:
        """The machine that talks to us at this address."""
        try:
            self.credential()
        except TalosError as error:
            return _silent(address, Silence.NOT_ASKED, str(error))
        machine = self._at(address)
        if machine is None or machine.away or (machine.booted_at is not None and not machine.powered):
            return _silent(address, Silence.UNREACHABLE)
        if machine.apid.silence is not None:
            return _silent(address, machine.apid.silence)
        if machine.booted_at is None:  # being wiped or installed: not yet, or no longer, of this cluster
            return _silent(address, Silence.UNREACHABLE if machine.deleted else Silence.UNKNOWN_AUTHORITY)
        return machine

    def _at(self, address: str) -> MachineRecord | None:
        """Who is at this address now, whoever was there before."""
        name = self._world.virtual.get(address)
        return next((m for m in self._world.machines() if m.name == name or m.server == address), None)

    def _answer(self, address: str, machine: MachineRecord) -> Answer:
        assert machine.booted_at is not None
        return Answer(
            address=address,
            hostname=machine.apid.hostname or machine.name,
            version=TALOS,
            boot_time=int(machine.booted_at.timestamp()),
            stage=_stage(machine),
        )

    def _etcd(self, address: str, machine: MachineRecord | Silent) -> EtcdView | Silent:
        if isinstance(machine, Silent):
            return machine
        etcd = self._world.etcd
        etcd.look()
        own = etcd.member_of(machine)
        if own is None or not own.up:
            return _silent(address, Silence.UNREACHABLE, "its etcd does not answer")
        return EtcdView(
            member_id=own.id,
            leader=0 if machine.apid.leaderless else etcd.leader,
            learner=own.learner,
            errors=machine.apid.etcd_errors,
            alarms=tuple(etcd.alarms),
            members=_listed(etcd.members, machine.apid.unlisted),
        )


def _listed(members: list[EtcdMember], unlisted: str) -> tuple[Member, ...]:
    ordered = sorted(members, key=lambda member: member.id)
    return tuple(Member(m.id, m.name, m.learner) for m in ordered if m.machine.name != unlisted)


def _stage(machine: MachineRecord) -> str:
    return machine.apid.stage or ("running" if machine.booted else "booting")


def _silent(address: str, why: Silence, seen: str = "") -> Silent:
    return Silent(why, f"{address}: {seen or _SEEN[why]}, expected an answer of its Talos API".removeprefix(": "))
