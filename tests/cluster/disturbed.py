"""Ways to disturb a run that may act: its writes held in a proxy, its process killed, strangers with its powers."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from guards.naming import CLUSTER_LABEL, PAUSED_ANNOTATION, TALOS_FOLDER
from guards.parameters import KNOBS
from tests.cluster.management import Management, Object
from tests.cluster.remediating import SECRET, variant, wait_for_line
from tests.cluster.write_proxy import WriteProxy


@contextmanager
def proxied(management: Management, lab: str) -> Iterator[tuple[WriteProxy, str]]:
    """A proxy, and the name of a template whose steps talk to the API server through it."""
    proxy = WriteProxy()
    try:
        yield proxy, variant(management, lab, **proxy.environment)
    finally:
        proxy.close()


def kill_step(management: Management, pod: str) -> None:
    """SIGKILL for the guards in this pod, as the kernel does it when memory is short: no last word, exit code 137."""
    uid = management.get("pod", pod, "argo")["metadata"]["uid"]
    doomed = [pid for pid in _pids() if _belongs(pid, uid) and "guards" in _command(pid)]
    assert doomed, f"pod {pod}: none of its processes is on this machine"
    for pid in doomed:
        os.kill(pid, signal.SIGKILL)


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _belongs(pid: int, uid: str) -> bool:
    with suppress(OSError):
        text = Path(f"/proc/{pid}/cgroup").read_text()
        return uid in text or uid.replace("-", "_") in text
    return False


def _command(pid: int) -> list[str]:
    """The words of a process's command line; none for argoexec, which only carries ours as arguments of its own."""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        return words if "python" in words[0] else []
    return []


def impostor(management: Management, name: str, workflow: Object, account: str) -> str:
    """A pod that no controller of Argo knows: the step `workers` with a Workflow's identity, credential and powers."""
    metadata = workflow["metadata"]
    namespace = metadata["namespace"]
    given = {row["name"]: str(row["value"]) for row in workflow["spec"]["arguments"]["parameters"]}
    given |= {"workflowName": metadata["name"], "workflowNamespace": namespace, "workflowUid": metadata["uid"]}
    given |= {"maxRemediations": "100", "nodeName": "elsewhere"}
    environment = [{"name": knob.env, "value": given[knob.name]} for knob in KNOBS if knob.name in given]
    container = {
        "name": "main",
        "image": management.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "guards", "workers"],
        "env": environment,
        "volumeMounts": [{"name": "talos", "mountPath": TALOS_FOLDER, "readOnly": True}],
    }
    talos = {"name": "talos", "secret": {"secretName": SECRET, "defaultMode": 0o444}}
    spec = {
        "serviceAccountName": account,
        "restartPolicy": "Never",
        "securityContext": {"runAsUser": 65532},
        "containers": [container],
        "volumes": [talos],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}
    management.kubectl("create", "-f", "-", stdin=json.dumps(pod))
    return name


def wait_for_pod(management: Management, pod: str, *words: str, namespace: str = "argo") -> str:
    """The first line of this pod that holds all these words; waits for it."""

    def said() -> str:
        return management.run("kubectl", "-n", namespace, "logs", pod, check=False).stdout

    return wait_for_line(f"pod {pod}", said, words, 240)


@contextmanager
def second_installation(management: Management) -> Iterator[str]:
    """A namespace with an account that may do to our Clusters what the remediator may, and nothing in ours."""
    name = "argo-two"
    objects: list[Object] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": name}},
        _binding(name, "default", "capi-rollout-remediator"),
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": name, "namespace": name},
            "rules": [{"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["get"]}],
        },
        _binding(name, name, name),
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET, "namespace": name}}
        | {"data": management.get("secret", SECRET, "argo")["data"]},
    ]
    management.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    try:
        yield name
    finally:
        management.kubectl("delete", "namespace", name, "--wait=false")
        management.kubectl("-n", "default", "delete", "rolebinding", name)


def lone_machine(management: Management, name: str, cluster: str, **labels: str) -> None:
    """Create a Machine that nobody owns; paused, so that no controller makes anything of it."""
    metadata: Object = {"name": name, "namespace": "default", "annotations": {PAUSED_ANNOTATION: ""}}
    metadata["labels"] = {CLUSTER_LABEL: cluster, **labels}
    spec = {
        "clusterName": cluster,
        "bootstrap": {"dataSecretName": "none"},
        "infrastructureRef": {"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "DevMachine", "name": "none"},
    }
    machine = {"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Machine", "metadata": metadata, "spec": spec}
    management.apply(json.dumps(machine))


def twin(management: Management, workflow: Object, namespace: str) -> Object:
    """The same Workflow in another namespace, where nobody carries it out: it says that it runs."""
    metadata = {"name": workflow["metadata"]["name"], "namespace": namespace}
    body = {key: workflow[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": metadata}
    management.kubectl("create", "-f", "-", stdin=json.dumps(body | {"status": {"phase": "Running"}}))
    return management.get("workflow", metadata["name"], namespace)


def _binding(account: str, namespace: str, role: str) -> Object:
    api = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{api}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": account, "namespace": namespace},
        "roleRef": {"apiGroup": api, "kind": "Role", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": account}],
    }
