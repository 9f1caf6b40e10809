"""Look at the fleet and judge it, as a step does: `python -m tests.fleet.look URL` prints seconds and MiB as JSON."""

import json
import statistics
import sys
import time
from pathlib import Path

from kubernetes.client import Configuration

from guards.core.decide import decide, take_in
from guards.core.memory import Memory
from guards.core.report import lines
from guards.kube.client import Client
from guards.kube.connect import Connection, bounded
from guards.kube.observe import Observer
from guards.parameters import Parameters, Scope
from tests.fleet.server import SIZE

DECISIONS = 7


def peak() -> float:
    """MiB this process ever held. Not getrusage: that one inherits the peak of the parent."""
    status = Path("/proc/self/status").read_text().split("VmHWM:")[1]
    return int(status.split()[0]) / 1024


def main(url: str) -> None:
    parameters = Parameters.model_validate({"clusterName": "homelab"})
    client = Client(Connection("bench", "default", lambda: bounded(Configuration(host=url))))
    observer = Observer(client, client, parameters)
    found = {"idle": peak()}

    begun = time.perf_counter()
    snapshot = observer.look()
    found["first"] = time.perf_counter() - begun
    assert len(snapshot.machines) == SIZE
    odd = [m for m in snapshot.machines if m.stranger or m.outdated]
    assert not odd, odd[0]

    memory, taken = Memory(started_at=snapshot.taken_at), []
    for _ in range(DECISIONS):
        begun = time.process_time()  # no waiting in it: another program's work must not count
        memory = take_in(memory, snapshot, parameters)
        verdict = decide(snapshot, memory, parameters, Scope.WORKERS)
        lines(verdict)
        taken.append(time.process_time() - begun)
    found["decision"] = statistics.median(taken)

    begun = time.perf_counter()
    observer.look()
    found["next"] = time.perf_counter() - begun
    client.close()
    print(json.dumps(found | {"memory": peak()}))


if __name__ == "__main__":
    main(sys.argv[1])
