"""The management cluster of the tests, as its users see it: kubectl, our command line, and an independent watcher."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ci.cluster import lab
from ci.cluster.settings import BIN

HOOK = "pre-terminate.delete.hook.machine.cluster.x-k8s.io/test"
"""Annotation that keeps a deleting Machine, as a slow wipe would."""
TALOS_LAB = ("--node-ready", "0s", "--reboot", "15s", "--boot", "3s")
"""How quick the in-memory machines are."""
ROOT = Path(__file__).resolve().parents[2]
SITE = Path(__file__).with_name("rollout.yaml")
Object = dict[str, Any]
Lab = tuple[str, str]
"""(kind, name) of a workload cluster: talos or kubeadm."""


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 120, every: float = 1) -> Any:
    """The first truthy answer of `condition`; AssertionError with the last answer after `seconds`."""
    until = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < until, f"gave up after {seconds:.0f}s waiting for {what}; last answer: {answer!r}"
        time.sleep(every)  # noqa: TID251 - a real cluster has real time
    return answer


@dataclass(frozen=True)
class Management:
    """One management cluster. `folder` holds the overlay exported for it."""

    kubeconfig: Path
    folder: Path
    image: str
    """Reference of the step image built from this tree."""
    digest: str
    """Digest of that image's manifest, `sha256:…`."""
    archive: Path
    """The image as an OCI archive."""

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }

    def run(self, *command: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Any program with this cluster as its kubeconfig."""
        done = subprocess.run(
            command, input=stdin, env=self.environment, capture_output=True, text=True, check=False, cwd=ROOT
        )
        assert not check or done.returncode == 0, (
            f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.run("kubectl", *arguments, stdin=stdin).stdout

    def get(self, kind: str, name: str, namespace: str = "default") -> Object:
        found: Object = json.loads(self.kubectl("-n", namespace, "get", kind, name, "-o", "json"))
        return found

    def list(self, kind: str, namespace: str = "default", labels: str = "") -> list[Object]:
        answer = json.loads(self.kubectl("-n", namespace, "get", kind, "-l", labels, "-o", "json"))
        items: list[Object] = answer["items"]
        return items

    def patch(self, kind: str, name: str, change: Object, namespace: str = "default") -> None:
        self.kubectl("-n", namespace, "patch", kind, name, "--type=merge", "-p", json.dumps(change))

    def apply(self, manifest: str) -> None:
        self.kubectl("apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", "-", stdin=manifest)

    def built(self, overlay: Path) -> str:
        """What Argo CD would apply from this folder. Only the image differs, set by kustomize."""
        pinned = overlay.with_name("pinned")
        shutil.copytree(overlay, pinned)
        name = f"ghcr.io/capi-rollout/guards={self.image}"
        self.run("sh", "-c", f"cd {pinned} && kustomize edit set image {name}")
        return self.run("kustomize", "build", str(pinned)).stdout

    # our own command lines

    def workflows(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`python -m workflows …`, whatever code it ends with."""
        return self.run(sys.executable, "-m", "workflows", *arguments, check=False)

    def guards(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`python -m guards …` from this shell."""
        return self.run(sys.executable, "-m", "guards", *arguments, check=False)

    def submit(self, cluster: str, *flags: str, namespace: str = "default") -> "Run":
        """Start a run with `python -m workflows submit`."""
        where = ("--site", str(SITE), "--cluster", cluster, "--cluster-namespace", namespace)
        done = self.workflows("submit", *where, "-o", "name", *flags)
        assert done.returncode == 0, done.stderr
        return Run(self, done.stdout.strip().split("/")[-1])

    def run_list(self, name: str) -> str:
        """The row of `argo list` for this Workflow: what a person sees."""
        rows = self.run("argo", "list", "-n", "argo").stdout.splitlines()
        return next(row for row in rows if row.startswith(f"{name} "))


@dataclass(frozen=True)
class Run:
    """One Workflow of ours in namespace argo."""

    management: Management
    name: str

    def workflow(self) -> Object:
        return self.management.get("workflow", self.name, "argo")

    @property
    def phase(self) -> str:
        return str(self.workflow().get("status", {}).get("phase", ""))

    @property
    def message(self) -> str:
        return str(self.workflow().get("status", {}).get("message", ""))

    def ended(self, seconds: float = 300) -> "Run":
        """Wait until the Workflow has ended."""
        wait_for(f"the end of {self.name}", lambda: self.phase in ("Succeeded", "Failed", "Error"), seconds, 3)
        return self

    @property
    def exit(self) -> int:
        """Our exit code, as the exit hook tells it."""
        if self.phase == "Succeeded":
            return 0
        match = re.search(r"exit code (\d+)", self.message)
        assert match, f"{self.name} ended as {self.phase}: {self.message}"
        return int(match[1])

    def nodes(self, step: str) -> list[Object]:
        """Nodes of a step (preflight, control-plane, workers, report), attempts included."""
        found = self.workflow().get("status", {}).get("nodes", {}).values()
        return [node for node in found if node.get("templateName") == step]

    def output(self, step: str, name: str) -> str:
        rows = [row for node in self.nodes(step) for row in node.get("outputs", {}).get("parameters", [])]
        return next((str(row["value"]) for row in rows if row["name"] == name), "")

    def pod(self, step: str) -> str:
        """Name of the step's living pod; waits for one."""

        def running() -> str | None:
            labels = f"workflows.argoproj.io/workflow={self.name}"
            for pod in self.management.list("pods", "argo", labels):
                if f"-{step}-" in pod["metadata"]["name"] and pod["status"].get("phase") == "Running":
                    return str(pod["metadata"]["name"])
            return None

        return str(wait_for(f"a running pod of {self.name}, step {step}", running))

    def last_log(self, step: str) -> str:
        """Log of a step that ended badly: its pod is kept."""
        node = [node for node in self.nodes(step) if node["type"] == "Pod"][-1]
        labels = f"workflows.argoproj.io/workflow={self.name}"
        pods = [pod["metadata"]["name"] for pod in self.management.list("pods", "argo", labels)]
        pod = next(name for name in pods if name.endswith(node["id"].rsplit("-", 1)[-1]))
        return self.management.kubectl("-n", "argo", "logs", pod, "-c", "main")


@dataclass
class Recording:
    """Every change of the Machines of one cluster, as an own `kubectl get -w` saw it."""

    machines: dict[str, Object] = field(default_factory=dict)
    first: dict[str, Object] = field(default_factory=dict)
    seen: dict[str, Object] = field(default_factory=dict)
    """Machine UID -> the first and the last that was seen of it, of machines that are gone too."""
    pairs: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: {"control-plane": [], "workers": []})
    """Scope -> the (deleting, notReady) pairs in order, repetitions left out."""

    def take(self, event: Object) -> None:
        machine = event["object"]
        uid = machine["metadata"]["uid"]
        if event["type"] == "DELETED":
            self.machines.pop(uid, None)
        else:
            self.machines[uid] = self.seen[uid] = machine
            self.first.setdefault(uid, machine)
        for scope, pairs in self.pairs.items():
            pair = self._pair(scope)
            if not pairs or pairs[-1] != pair:
                pairs.append(pair)

    def _pair(self, scope: str) -> tuple[int, int]:
        label = "cluster.x-k8s.io/control-plane"
        mine = [m for m in self.machines.values() if (label in m["metadata"]["labels"]) == (scope == "control-plane")]
        return sum("deletionTimestamp" in m["metadata"] for m in mine), sum(not is_ready(m) for m in mine)

    def worst(self, scope: str) -> tuple[int, int]:
        """The largest count of deleting and of not Ready machines, each by itself."""
        return max(d for d, _ in self.pairs[scope]), max(n for _, n in self.pairs[scope])


class follow:
    """`kubectl logs -f` of a step into a file while the block runs: good pods are taken away when they end."""

    def __init__(self, management: Management, run: Run, step: str, path: Path) -> None:
        self._command = ["kubectl", "-n", "argo", "logs", "-f", run.pod(step), "-c", "main"]
        self._environment, self._path = management.environment, path

    def __enter__(self) -> None:
        with self._path.open("w") as out:
            self._process = subprocess.Popen(self._command, stdout=out, env=self._environment)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


def is_ready(machine: Object) -> bool:
    rows = machine.get("status", {}).get("conditions", [])
    return any(row["type"] == "Ready" and row["status"] == "True" for row in rows)


@contextmanager
def recording(management: Management, cluster: str, namespace: str = "default") -> Iterator[Recording]:
    """Watch the Machines of a whole lab while the block runs, which begins when its six machines have been seen."""
    command = ["kubectl", "-n", namespace, "get", "machines.v1beta2.cluster.x-k8s.io", "-w", "--output-watch-events"]
    command += ["-l", f"cluster.x-k8s.io/cluster-name={cluster}", "-o", "json"]
    result = Recording()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=management.environment) as watch:
        thread = threading.Thread(target=_take_all, args=(result, watch.stdout), daemon=True)
        thread.start()
        try:
            wait_for(f"the six machines of {cluster}", lambda: len(result.machines) == 6, 30, 0.1)
            yield result
        finally:
            watch.terminate()
            thread.join()


def _take_all(result: Recording, lines: Iterable[str]) -> None:
    decoder, text = json.JSONDecoder(), ""
    for line in lines:
        text += line
        try:
            event, end = decoder.raw_decode(text.lstrip())
        except ValueError:
            continue  # the document is not complete yet
        text = text.lstrip()[end:]
        result.take(event)


@contextmanager
def labs(management: Management, *wanted: Lab) -> Iterator[None]:
    """These workload clusters of 3 + 3 in-memory machines in namespace default, all Ready; deleted after the block.

    A module names its own in LABS: all of them begin to boot when the session does.
    """
    with started(*wanted):
        for one in wanted:
            ready(management, one)
        yield


@contextmanager
def started(*wanted: Lab) -> Iterator[None]:
    """The same without waiting for them. One that exists already is taken as it is."""
    for kind, name in wanted:
        lab.create(kind, name)
    try:
        yield
    finally:
        for _, name in wanted:
            lab.delete(name)


def ready(management: Management, wanted: Lab, namespace: str = "default") -> None:
    """Wait until all six machines are Ready, and have been for 30 seconds in the eyes of preflight."""
    kind, name = wanted
    where = ("--cluster-name", name, "--cluster-namespace", namespace)
    scope = ("--scope", "workers") if kind == "kubeadm" else ()
    wait_for(f"six Ready machines of {name}", lambda: _all_ready(management, name, namespace), 400, 2)
    wait_for(
        f"{name} to be converged",
        lambda: "converged" in management.guards("preflight", *where, *scope).stdout,
        120,
        3,
    )


def _all_ready(management: Management, name: str, namespace: str) -> bool:
    machines = management.list("machines", namespace, f"cluster.x-k8s.io/cluster-name={name}")
    return len(machines) == 6 and all(is_ready(machine) for machine in machines)


def newer(management: Management, name: str) -> str:
    """The next Kubernetes patch version of a Talos lab."""
    control_plane = management.get("taloscontrolplanes", f"{name}-cp")["spec"]["version"]
    workers = management.get("machinedeployments", f"{name}-workers")["spec"]["template"]["spec"]["version"]
    major, minor, patch = max([int(part) for part in version[1:].split(".")] for version in (control_plane, workers))
    return f"v{major}.{minor}.{patch + 1}"


def roll(management: Management, name: str, version: str, *, control_plane: bool = True, workers: bool = True) -> None:
    """One commit: a new Kubernetes patch version for the control plane and the workers of a lab."""
    if workers:
        change = {"spec": {"template": {"spec": {"version": version}}}}
        management.patch("machinedeployments", f"{name}-workers", change)
    if control_plane:
        management.patch("taloscontrolplanes", f"{name}-cp", {"spec": {"version": version}})
