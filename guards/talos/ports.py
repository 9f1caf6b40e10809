"""The door to the machines. The real client and the simulator implement it; used only where remediation is enabled."""

from collections.abc import Iterable
from typing import Protocol

from guards.core.evidence import Answer, Credential, Round, Target
from guards.parameters import RebootMode


class TalosError(Exception):
    """Base of all. The message names file or machine, what was seen and what was expected."""


class NoCredential(TalosError):
    """There is no talosconfig for this cluster: it is only watched."""


class BadCredential(TalosError):
    """There is one, but it cannot be read, has no client certificate, or is not valid now."""


class Refused(TalosError):
    """The machine said no, or was never reached: nothing was done."""


class Unproven(TalosError):
    """The request was sent, and no answer came: nobody knows whether it was done."""


class TalosMachines(Protocol):
    """All machines of one cluster. The credential is read afresh for every call."""

    def credential(self) -> Credential:
        """NoCredential, BadCredential."""
        ...

    def ask(self, targets: Iterable[Target]) -> Round:
        """Ask all of them at once, bounded to a few seconds. Never raises for a machine: silence is an answer."""
        ...

    def reboot(self, machine: Answer, mode: RebootMode) -> None:
        """Send one reboot, once, whatever comes of it. Refused or Unproven; an OK proves nothing either.

        Only to the machine that gave this answer, in that very boot: its address may be another's by now.
        """
        ...
