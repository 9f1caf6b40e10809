"""G1, G2 and G5: more machines down than the budget allows. A breach ends the run at once, with the brake."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from guards.core.counts import Counts
from guards.core.memory import Memory, names
from guards.core.model import Machine
from guards.core.verdict import Finding
from guards.parameters import Parameters

GAP_LOOKS = 3
GAP_PERIOD = timedelta(seconds=30)
"""G5 must hold for so many looks over so long: between "old is gone" and "new exists" a gap is normal for seconds."""


def over_budget_in_slots(counts: Counts, parameters: Parameters) -> bool:
    """More slots are missing than allowed, and neither G3 nor G4 explains each one too many."""
    return counts.missing - counts.explained > parameters.max_concurrent_unavailable


def breaches(counts: Counts, memory: Memory, parameters: Parameters, now: datetime) -> Iterator[Finding]:
    """What is over the budget in these counts, worst first. Runs after this look went into `memory`."""
    limit = parameters.max_concurrent_unavailable
    if len(counts.deleting) > limit:
        yield Finding("G1", f"{counts.label}: {_are(counts.deleting, 'deleting')}, {limit} allowed")
    if len(counts.not_ready) - counts.explained > limit:
        yield Finding("G2", f"{counts.label}: {_are(counts.not_ready, 'not Ready')}, {limit} allowed")
    gap = memory.missing.get(counts.label)
    if gap and gap.lasted(now, GAP_LOOKS, GAP_PERIOD):
        yield Finding(
            "G5",
            f"{counts.label}: {counts.missing} of {counts.slots} slots are empty or down since "
            f"{gap.since:%H:%M:%S} UTC "
            f"(available: {names(counts.available)}), {limit} allowed",
        )


def _are(machines: tuple[Machine, ...], what: str) -> str:
    verb = "machine is" if len(machines) == 1 else "machines are"
    return f"{len(machines)} {verb} {what} ({names(machines)})"
