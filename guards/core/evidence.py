"""What machines say about themselves through the Talos API, in one round. Facts only: judged by `guards.core.proof`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Silence(StrEnum):
    """Why a machine gave no usable answer."""

    UNREACHABLE = "unreachable"
    """No connection, a reset, or no whole answer in time."""
    UNKNOWN_AUTHORITY = "unknown authority"
    """Its certificate is of no known authority: maintenance mode, or nobody can tell."""
    STRANGER = "stranger"
    """Something else is at its address: no Talos machine, or another cluster's. It tells nothing about this one."""
    DENIED = "denied"
    """It does not accept our certificate, or our role may not ask this."""
    BROKEN = "broken"
    """It answered, but not in the shape or with the content that the API promises."""
    NOT_ASKED = "not asked"
    """There is no address to ask, or no credential to ask with."""


@dataclass(frozen=True, slots=True)
class Silent:
    """No answer is never a good answer."""

    why: Silence
    text: str
    """One line: address, what was seen, what was expected."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One machine about itself."""

    address: str
    """The one of its addresses that answered."""
    hostname: str
    version: str
    """Talos, as `v1.12.4`."""
    boot_time: int
    """Unix seconds of the kernel's start (SystemStat)."""
    stage: str
    """MachineStatus: booting, installing, maintenance, running, rebooting, shutting down, resetting, upgrading or
    unknown."""


@dataclass(frozen=True, slots=True)
class Member:
    """One row of etcd's member list."""

    id: int
    hostname: str
    """"" while the member has not started."""
    learner: bool


@dataclass(frozen=True, slots=True)
class EtcdView:
    """etcd as one control-plane machine sees it."""

    member_id: int
    """Its own."""
    leader: int
    """Member id; 0 = it knows of none."""
    learner: bool
    errors: tuple[str, ...]
    """What the member reports about itself (EtcdMemberStatus.errors)."""
    alarms: tuple[str, ...]
    """All raised alarms, as `NOSPACE of member 1a2b`."""
    members: tuple[Member, ...]
    """Ordered by id."""


@dataclass(frozen=True, slots=True)
class Target:
    """A machine to ask, as Cluster API knows it."""

    uid: str
    name: str
    node: str
    """Name of its Node, "" while there is none."""
    addresses: tuple[str, ...]
    """In Cluster API's order, internal ones first; may hold a virtual address that another machine answers."""
    control_plane: bool


@dataclass(frozen=True, slots=True)
class Round:
    """The answers of all machines to one round of questions, by Machine UID."""

    begun_at: datetime
    """Instant before the first question was sent: nothing in the round is older."""
    machines: Mapping[str, Answer | Silent]
    etcd: Mapping[str, EtcdView | Silent]
    """Control-plane machines only."""


@dataclass(frozen=True, slots=True)
class Credential:
    """The talosconfig of this cluster, judged without using it."""

    roles: tuple[str, ...]
    """Organizations of the client certificate, as `os:operator`."""
    not_after: datetime
