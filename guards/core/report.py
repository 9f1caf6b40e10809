"""From a look to lines of text. Returns strings, prints nothing."""

from guards.core.counts import covered
from guards.core.model import Ready, Snapshot
from guards.core.verdict import Verdict
from guards.parameters import Parameters


def lines(verdict: Verdict) -> list[str]:
    """What is seen and why it waits. Equal looks give equal lines."""
    said = [f"  {finding}" for finding in verdict.findings]
    waiting = [f"  {verdict.sentence}"] if verdict.exit is None else []  # the last word has a line of its own
    return [*verdict.counts, *said, *waiting]


def progress(snapshot: Snapshot, parameters: Parameters) -> tuple[int, int]:
    """Machines that are up to date and Ready, and all slots, of the scopes of this run."""
    pools = [pool for scope in covered(parameters) for pool in snapshot.pools_of(scope)]
    total = sum(pool.replicas for pool in pools)
    through = sum(
        not machine.outdated and machine.deleting_since is None and machine.ready is Ready.TRUE
        for pool in pools
        for machine in snapshot.machines_in(pool)
    )
    return min(through, total), total
