"""Scenarios side by side: each takes minutes of waiting and one lab; several labs take turns at all of them.

A scenario is a function of (management, name of a whole lab) that returns what there is to be asserted. A test names
its own with `@pytest.mark.plays.with_args(scenario)` and takes the fixture `played`.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from threading import Lock
from typing import Any

from ci.cluster import lab
from guards.naming import HOLD_ANNOTATION, PAUSED_ANNOTATION, SKIP_REMEDIATION
from tests.cluster.management import Management, Object
from tests.cluster.remediating import give_credential, machines, settle

Scenario = Callable[[Management, str], Any]


class Stage:
    """Plays scenarios on labs that are Ready; each of them once, however many tests look at it."""

    def __init__(self, management: Management, labs: Iterable[str]) -> None:
        self._management = management
        self._free: SimpleQueue[str] = SimpleQueue()
        for name in labs:
            self._free.put(name)
        self._pool = ThreadPoolExecutor(self._free.qsize())
        self._played: dict[Scenario, Future[Any]] = {}
        self._founding = Lock()
        self._founded: set[str] = set()

    def begin(self, scenarios: Iterable[Scenario]) -> None:
        for scenario in dict.fromkeys(scenarios):
            self._played[scenario] = self._pool.submit(self._play, scenario)

    def outcome(self, scenario: Scenario) -> Any:
        """What the scenario returned; raises what it raised."""
        return self._played[scenario].result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        for name in self._founded:
            self._management.kubectl("delete", "cluster", name, "--wait=false")

    def _play(self, scenario: Scenario) -> Any:
        name = self._free.get()
        try:
            self._found(name)
            make_whole(self._management, name)
            return scenario(self._management, name)
        finally:
            self._free.put(name)

    def _found(self, name: str) -> None:
        """One lab after the other: the provider's caches lag on a busy machine, and it creates too many machines."""
        with self._founding:
            if name not in self._founded:
                self._founded.add(name)
                lab.create("talos", name)
                give_credential(self._management, name)
                settle(self._management, name)


def make_whole(management: Management, name: str) -> None:
    """As new, after whatever was played here before: no run, no memory of one, no fault, every machine Ready."""
    labels = f"capi-rollout/cluster={name}"
    for run in management.list("workflows", "argo", labels):
        if run.get("status", {}).get("phase") in (None, "Pending", "Running"):  # of a scenario that failed
            management.run("argo", "-n", "argo", "terminate", run["metadata"]["name"])
    management.kubectl("-n", "default", "delete", "lease", f"capi-rollout-{name}", "--ignore-not-found")
    clean(management, "clusters", management.get("clusters", name))
    for scope in ("control-plane", "workers"):
        for machine in machines(management, name, scope):
            clean(management, "machines", machine)
            if "broken" in machine["metadata"].get("annotations", {}).get("lab.talos/born", ""):  # only a new one helps
                management.kubectl("delete", "machine", machine["metadata"]["name"], "--wait=false")
    settle(management, name)


FAULTS = ("apid", "boot", "births", "etcd", "hostname", "node", "node-ready", "reboot", "reboot-seconds", "stage")


def clean(management: Management, kind: str, found: Object) -> None:
    """Take away every annotation that a test sets; what talos-lab itself writes stays."""
    ours = {f"lab.talos/{fault}" for fault in FAULTS} | {HOLD_ANNOTATION, PAUSED_ANNOTATION, SKIP_REMEDIATION}
    notes = found["metadata"].get("annotations", {})
    gone = [f"{key}-" for key in notes if key in ours or key.startswith(("pre-drain.", "pre-terminate."))]
    if gone:  # one that was deleting may be gone by now: it is in nobody's way then
        management.run("kubectl", "-n", "default", "annotate", kind, found["metadata"]["name"], *gone, check=False)
