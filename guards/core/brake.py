"""The brake: a breach cannot stop Cluster API's controllers, a person can. Commands ready to paste, never run by us."""

from guards.core.done import is_outdated
from guards.core.model import Pool, Snapshot
from guards.naming import PAUSED_ANNOTATION


def moving(snapshot: Snapshot) -> tuple[Pool, ...]:
    """Pools whose controller is replacing machines, or will go on to: of both scopes, whatever the run's scope."""
    return tuple(
        pool
        for pool in snapshot.pools
        if not pool.paused
        and (is_outdated(snapshot, pool) or any(m.deleting_since is not None for m in snapshot.machines_in(pool)))
    )


def brake(snapshot: Snapshot) -> str:
    """One sentence with a command for each moving object; "" when nothing moves."""
    pools = moving(snapshot)
    if not pools:
        return ""
    namespace = snapshot.cluster.namespace
    commands = "; ".join(
        f"kubectl -n {namespace} annotate {pool.kind.lower()} {pool.name} {PAUSED_ANNOTATION}=true" for pool in pools
    )
    return (
        f"Brake: {commands} (release with {PAUSED_ANNOTATION}- in place of {PAUSED_ANNOTATION}=true; "
        "while paused no replacement is created)."
    )
