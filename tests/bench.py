"""What the design promises in figures, measured here and now: `scripts/bench`. Prints, judges nothing.

Times are medians of several runs; where a machine's speed matters, a ratio to something everybody knows is printed too.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from guards.core.decide import decide, take_in
from guards.core.memory import Memory
from guards.kube.assemble import Rows, assemble
from guards.kube.rows import cluster_row, deployment_row, machine_row, machine_set_row
from guards.parameters import Parameters, Scope
from guards.simulator.scenarios import SCENARIOS
from tests.kube.wire import deployment, machine, machine_set, metadata

ROOT = Path(__file__).parents[1]
NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
MANY = 5_000


def median(run: Callable[[], object], times: int = 5) -> float:
    """Seconds."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def process(*arguments: str, times: int = 7) -> float:
    """Seconds of `python …`, from start to end."""
    return median(
        lambda: subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, check=False), times
    )


def say(what: str, measured: str, target: str) -> None:
    print(f"{what:<52} {measured:>22}   {target}", flush=True)


def large_cluster() -> list[bytes]:
    """5,000 Machines as the API server sends them, in pages of 500."""
    wire = [machine("v1beta2", f"w-{i}") for i in range(MANY)]
    return [json.dumps(wire[i : i + 500]).encode() for i in range(0, MANY, 500)]


def read(pages: list[bytes]) -> Rows:
    cluster: dict[str, Any] = {"kind": "Cluster", "metadata": metadata("Cluster", "homelab"), "spec": {}}
    rows = tuple(machine_row(item, "v1beta2") for page in pages for item in json.loads(page))
    return Rows(
        cluster=cluster_row(cluster, "v1beta2"),
        control_plane=None,
        deployments=(deployment_row(deployment(replicas=MANY), "v1beta2"),),
        machine_sets=(machine_set_row(machine_set(replicas=MANY), "v1beta2"),),
        machines=rows,
        talos_configs={},
        infrastructure={},
    )


def steps() -> None:
    bare = process("-c", "pass")
    imports = process("-c", "import guards.steps, guards.kube.client, guards.kube.connect")
    say("a step's imports, interpreter included", f"{imports:.2f} s ({imports / bare:.0f}x bare)", "0.5 s")
    say("python -m guards --help", f"{process('-m', 'guards', '--help'):.2f} s", "-")


def many_machines() -> None:
    pages = large_cluster()
    rows = read(pages)
    say(f"read {MANY} Machines", f"{median(lambda: read(pages), 3) * 1000:.0f} ms", "-")
    say(f"assemble {MANY} Machines", f"{median(lambda: assemble(rows, NOW)) * 1000:.0f} ms", "-")
    snapshot = assemble(rows, NOW)
    parameters = Parameters.model_validate({"clusterName": "homelab", "scope": "workers"})
    memory = take_in(Memory(started_at=NOW), snapshot, parameters)

    def look() -> None:
        after = take_in(memory, replace(snapshot, taken_at=NOW), parameters)
        decide(snapshot, after, parameters, Scope.WORKERS)

    say(f"decision on {MANY} Machines", f"{median(look) * 1000:.1f} ms", "20 ms")


def rehearsals() -> None:
    from workflows.rehearse import rehearse

    assert "thirteen" in SCENARIOS
    say("rehearse 13 machines", f"{median(lambda: rehearse('thirteen'), 3):.2f} s", "0.2 s")
    found = rehearse("healthy")
    say(
        "requests of a 42 min rollout of 6 machines",
        f"{found.requests / (found.simulated_seconds / 60):.1f} a minute",
        "15",
    )
    stuck = rehearse("stuck")
    say(
        "requests while a machine is stuck for an hour",
        f"{stuck.requests / (stuck.simulated_seconds / 60):.1f} a minute",
        "15",
    )


def export() -> None:
    hera = process("-c", "import hera.workflows", times=5)
    whole = process("-m", "workflows", "export", "--check", times=5)
    say("export --check against import hera.workflows", f"{whole:.2f} s = {whole / hera:.2f}x", "1.2x")


if __name__ == "__main__":
    print(f"{'':<52} {'measured':>22}   target")
    for part in (steps, many_machines, rehearsals, export):
        part()
