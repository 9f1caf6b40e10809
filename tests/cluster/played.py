"""A run that met a stuck machine, and all that was seen of the Machines meanwhile."""

import re
from dataclasses import dataclass

from tests.cluster.management import Management, Object, Recording, Run, recording
from tests.cluster.remediating import begin, reboots_of, roll_into_a_fault


@dataclass
class Played:
    """A run, the name of the machine that got stuck, and all that was seen of the Machines meanwhile."""

    run: Run
    stuck: str
    seen: Recording

    @property
    def machine(self) -> Object:
        """The stuck one, as it was last seen."""
        return next(one for one in self.seen.seen.values() if one["metadata"]["name"] == self.stuck)

    @property
    def reboots(self) -> dict[str, int]:
        """Machine -> how many calls for a reboot reached it meanwhile; machines that got none are left out."""
        before = self.seen.first
        counted = {m["metadata"]["name"]: reboots_of(m) - reboots_of(before[uid]) for uid, m in self.seen.seen.items()}
        return {name: count for name, count in counted.items() if count}


def play(management: Management, lab: str, *flags: str, **faults: str) -> Played:
    """A roll of the workers; the first new machine is born with these faults."""
    with recording(management, lab) as seen:
        run = begin(management, lab, "--scope", "workers", *flags)
        stuck = roll_into_a_fault(management, lab, "workers", **faults)
        run.ended(600)
    return Played(run, stuck, seen)


def says(summary: str, action: str, machine: str) -> bool:
    """The sentence of a run tells an act, when it was, and that its effect was seen."""
    return bool(re.search(rf"{action} of {machine} at [-0-9: ]+ UTC \(proven\)", summary))
