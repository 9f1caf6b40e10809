"""Reading the simulated cluster the way a person with kubectl would: from the wire, not from its records."""

from dataclasses import dataclass, field
from typing import Any

from guards.kube.access import MACHINE
from guards.simulator import Simulation

NAMESPACE = "default"
CLUSTER_LABEL = "cluster.x-k8s.io/cluster-name=homelab"


def machines(simulation: Simulation, pool: str) -> list[dict[str, Any]]:
    """The pool's Machines as JSON."""
    found: list[dict[str, Any]] = simulation.list(MACHINE, NAMESPACE, CLUSTER_LABEL, lambda item: item)
    return [item for item in found if item["metadata"]["name"].startswith(f"{pool}-")]


def ready(machine: dict[str, Any]) -> str:
    """Status of the v1beta2 condition Ready; Unknown when it is not there."""
    status = machine.get("status", {})
    new = status.get("v1beta2", status)
    found = [c["status"] for c in new.get("conditions", []) if c["type"] == "Ready"]
    return found[0] if found else "Unknown"


def pair(simulation: Simulation, pool: str) -> tuple[int, int]:
    """(deleting, notReady), as the runbook counts."""
    items = machines(simulation, pool)
    return sum("deletionTimestamp" in m["metadata"] for m in items), sum(ready(m) != "True" for m in items)


@dataclass
class Recording:
    """The counts of one pool at each event that changed them: (deleting, notReady, machines)."""

    simulation: Simulation
    pool: str
    counts: list[tuple[int, int, int]] = field(default_factory=list)
    down: int = 0
    """The largest number of slots without a serving machine."""

    def __post_init__(self) -> None:
        self.look()
        self.simulation.each_event.append(self.look)

    def look(self) -> None:
        counts = (*pair(self.simulation, self.pool), len(machines(self.simulation, self.pool)))
        if not self.counts or self.counts[-1] != counts:
            self.counts.append(counts)
        scope = self.simulation.pool(self.pool).scope
        self.down = max(self.down, self.simulation.down_now(scope))

    @property
    def pairs(self) -> list[tuple[int, int]]:
        return [(deleting, not_ready) for deleting, not_ready, _ in self.counts]


def run_until_rolled(simulation: Simulation, pool: str, limit: float = 20_000) -> None:
    """Let the world work until every machine of the pool is up to date and Ready."""
    wanted = simulation.pool(pool)

    def rolled() -> bool:
        found = simulation.machines(wanted)
        return len(found) == wanted.replicas and all(m.up_to_date and m.ready() and not m.deleted for m in found)

    simulation.advance(limit, rolled)
    assert rolled(), f"{pool} is not rolled after {limit} s: {[(m.name, m.conditions) for m in simulation.machines()]}"
