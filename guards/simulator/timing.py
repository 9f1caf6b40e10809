"""How long things take: ranges per world, drawn once per machine from the seed."""

import math
from dataclasses import dataclass, fields, replace
from random import Random

NEVER = math.inf
"""As a duration in a Plan: this step is never reached."""

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Timings:
    """Shortest and longest duration of each step of a machine's life, in seconds."""

    notice: Range
    """From a change of the Machine object to the Machine controller's first write."""
    bootstrap: Range
    """From the first write to the bootstrap data."""
    provision: Range
    """From a free server to ready infrastructure (power on, install)."""
    boot: Range
    """From ready infrastructure to a registered Node."""
    settle: Range
    """From the Node to the end of Talos' boot sequence, with etcd joined on the control plane."""
    ready: Range
    """From the Node to Ready (image pulls, CNI)."""
    drain: Range
    """From the deletion's first write to a drained Node; skipped where the Node object is gone."""
    shutdown: Range
    """From there to a wiped and free server."""
    finalize: Range
    """From the free server to the end of the Machine object."""
    reboot: Range
    """From the reboot of a running machine to the next start of its kernel."""
    latency: Range
    """From a change to a controller's next reconcile."""


METAL = Timings(
    notice=(0.4, 1.5), bootstrap=(1, 4), provision=(180, 270), boot=(120, 200), settle=(5, 12), ready=(10, 40),
    drain=(10, 40), shutdown=(60, 90), finalize=(0.5, 2), reboot=(90, 150), latency=(0.4, 2),
)  # fmt: skip
"""Bare metal: one to two minutes to drain and shut down, five to eight to wipe, install and boot.

A Node is Ready (40 s) before the next control-plane machine is gone (60 s): where it is not, two slots are empty.
"""

LAB = Timings(
    notice=(0.5, 1), bootstrap=(0.2, 0.5), provision=(3.2, 4.8), boot=(3, 4), settle=(1, 2), ready=(3, 4),
    drain=(0.2, 0.5), shutdown=(1, 2), finalize=(0.2, 0.5), reboot=(3, 5), latency=(0.5, 1),
)  # fmt: skip
"""The in-memory infrastructure of a test cluster: a whole replacement in about 15 seconds."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One machine's durations, in seconds; the steps of Timings without `latency`. NEVER = not at all."""

    notice: float
    bootstrap: float
    provision: float
    boot: float
    settle: float
    ready: float
    drain: float
    shutdown: float
    finalize: float
    reboot: float

    def healed(self, fresh: "Plan") -> "Plan":
        """The same with an end to the steps of a boot that were never to end."""
        steps = ("boot", "settle", "ready")
        return replace(self, **{step: getattr(fresh, step) for step in steps if getattr(self, step) == NEVER})


def plan_for(timings: Timings, seed: int, machine: str) -> Plan:
    """The durations of one machine: the same for the same seed and name, whatever else happens in the world."""
    random = Random(f"{seed}/{machine}")  # noqa: S311 - a rehearsal, not a secret; a str seed ignores PYTHONHASHSEED
    return Plan(**{field.name: round(random.uniform(*getattr(timings, field.name)), 3) for field in fields(Plan)})
