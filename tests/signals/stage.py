"""A hanging machine in a simulated cluster, and the pods of the step that may reboot or delete it: real processes."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from guards.core.ledger import Act
from guards.kube.access import LEASE
from guards.kube.kept import ledger_of
from guards.parameters import KNOBS
from guards.simulator import LAB, Simulation
from guards.simulator.scenarios import CONTROL_PLANE, WORKERS
from tests.edge.canary import TOKEN
from tests.remediation.bench import LEASE_NAME, UID, Bench, hang_at_birth
from tests.signals.management import Management
from tests.signals.metal import Metal
from tests.talos.pki import Authority, talosconfig

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NEW = {"workers": f"{WORKERS}-4", "control-plane": f"{CONTROL_PLANE}-4"}
ALWAYS = datetime(2020, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)
"""Certificates of both worlds: the simulated one has its own date."""
PATIENCE = {"stuckAfter": "3m", "workersTimeout": "20m", "controlPlaneTimeout": "20m", "maxRemediations": "2"}


@dataclass(frozen=True)
class Arrived:
    """One destructive request, and what the Lease said when it reached its server."""

    action: str
    uid: str
    holder: str
    on_record: tuple[Act, ...]


@dataclass
class Stage:
    """`step` is started by hand, as often as Argo would start a pod of it."""

    step: str
    heals: bool
    folder: Path
    seed: int = 7
    acts: list[Arrived] = field(default_factory=list)
    pods: list["subprocess.Popen[str]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        world = Simulation(remediator=True, seed=self.seed, timings=LAB)
        self.bench = Bench(self.step, world, dict(PATIENCE)).roll()
        hang_at_birth(self.bench, NEW[self.step], heals=self.heals)
        lock, authority = threading.RLock(), Authority()
        self.metal = Metal(self.bench.talos, lock, authority)
        self.management = Management(world, lock, self.metal.to_wire)
        self.metal.on_reboot = lambda uid: self._arrived("reboot", uid)
        self.metal.on_request = self.management.busy
        self.management.works = lambda: any(works(pod) for pod in self.pods)
        self.management.on_delete = lambda uid: self._arrived("delete", uid)
        (self.folder / "default.homelab").write_text(
            talosconfig(authority, client=authority.client(["os:operator"], *ALWAYS))
        )
        self._write_kubeconfig()

    def close(self) -> None:
        for pod in self.pods:
            pod.kill()
            pod.communicate()
        self.management.close()
        self.metal.close()

    # pods

    def start(self) -> "subprocess.Popen[str]":
        """Argo starts a pod of the step; its output is in `said` when it has ended."""
        if self.pods:
            with self.management.lock:
                self.bench.again()
        settings = self.bench.settings().model_dump(mode="json", by_alias=True)
        own = {**PATIENCE, **{name: str(settings[name]) for name in OWN}}
        file = self.folder / f"parameters-{len(self.pods)}.json"
        file.write_text(json.dumps([{"name": name, "value": value} for name, value in own.items()]))
        clean = {name: value for name, value in os.environ.items() if name not in {knob.env for knob in KNOBS}}
        pod = subprocess.Popen(
            [sys.executable, "-m", "guards", self.step, str(file), "--kubeconfig", str(self.folder / "kubeconfig")],
            cwd=ROOT,
            env={**clean, "PYTHONPATH": f"{HERE / 'site'}:{ROOT}", "TALOS_FOLDER_OF_THE_TEST": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.pods.append(pod)
        return pod

    def reached(self, holds: Callable[[], bool], pod: "subprocess.Popen[str]", seconds: float = 60) -> bool:
        """Wait until `holds`, looked at with every request; False when the pod has ended before."""
        ended = False

        def either() -> bool:
            nonlocal ended
            ended = pod.poll() is not None
            return ended or holds()

        # A pod that ends makes no request: time goes on without it, and its ticks are news, too.
        assert self.management.until(either, seconds), f"nothing for {seconds} s: {self.management.seen[-3:]}"
        return not ended

    @property
    def intended(self) -> bool:
        """An act is on record, whatever came of it."""
        return bool(self.lease()[1])

    def lease(self) -> tuple[str, tuple[Act, ...]]:
        """Its holder and the acts on record; nobody and nothing while there is none."""
        with self.management.lock:
            if self.bench.simulation.find("Lease", LEASE_NAME) is None:
                return "", ()
            lease = self.bench.simulation.get(LEASE, "default", LEASE_NAME)
            return lease["spec"]["holderIdentity"], ledger_of(lease).acts

    # judgement

    def _arrived(self, action: str, uid: str) -> None:
        self.acts.append(Arrived(action, uid, *self.lease()))

    def violations(self) -> list[str]:
        """What the invariants S-* forbid and has happened all the same, by the servers' own books."""
        world, found = self.bench.simulation, []
        for act in self.acts:
            if sum((one.action, one.uid) == (act.action, act.uid) for one in self.acts) > 1:
                found.append(f"S-5: more than one {act.action} of {act.uid} was sent")
            if not any((each.action, each.uid) == (act.action, act.uid) for each in act.on_record):
                found.append(f"S-8: {act.action} of {act.uid} was sent without an intent on record")
            if not act.holder.endswith(f"/{UID}"):
                found.append(f"S-7: {act.action} of {act.uid} was sent while {act.holder!r} held the Lease")
            if act.uid != world.uid("Machine", NEW[self.step]):
                found.append(f"S-6: {act.action} of {act.uid}, which does not hang")
        if len(self.acts) > 2:
            found.append(f"S-4: {len(self.acts)} acts, maxRemediations is 2")
        if world.etcd_quorum_lost:
            found.append("S-2: etcd lost its quorum")
        return found

    def _write_kubeconfig(self) -> None:
        (self.folder / "kubeconfig").write_text(
            json.dumps(
                {
                    "clusters": [{"name": "c", "cluster": {"server": self.management.url}}],
                    "users": [{"name": "u", "user": {"token": TOKEN}}],
                    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                    "current-context": "x",
                }
            )
        )


def works(pod: "subprocess.Popen[str]") -> bool:
    """Whether a thread of the process runs, or waits for a processor: on a busy computer that is no idleness."""
    with suppress(OSError):  # it, or one of its threads, has just ended
        threads = os.listdir(f"/proc/{pod.pid}/task")
        return any(state(pod.pid, thread) in ("R", "D") for thread in threads)
    return False


def state(process: int, thread: str) -> str:
    return Path(f"/proc/{process}/task/{thread}/stat").read_text().rpartition(") ")[2][:1]


OWN = ("clusterName", "scope", "workflowName", "workflowNamespace", "workflowUid", "nodeName")
