"""Workload clusters of in-memory machines: 3 control-plane machines and 3 workers, no spare, several side by side."""

import subprocess
from string import Template

from ci.cluster import kube
from ci.cluster.processes import say
from ci.cluster.settings import BIN, HERE, ClusterError, environment

KINDS = ("talos", "kubeadm")


def manifest(kind: str, name: str, namespace: str = "default") -> str:
    """YAML of one lab: Cluster NAME, control plane NAME-cp, MachineDeployment NAME-workers."""
    return Template((HERE / "labs" / f"{kind}.yaml").read_text()).substitute(name=name, namespace=namespace)


def create(kind: str, name: str, namespace: str = "default") -> None:
    """Apply a lab; a Talos one gets its certificate authorities first (the in-memory backend takes RSA only)."""
    if namespace != "default":
        kube.apply(f"{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}")
    if kind == "talos":
        command = [str(BIN / "talos-lab"), "secrets", "--cluster", name, "--namespace", namespace]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()}; next: scripts/cluster status")
    kube.apply(manifest(kind, name, namespace))
    say(f"{kind} lab {namespace}/{name} applied; watch it: kubectl -n {namespace} get machines -w")


def delete(name: str, namespace: str = "default") -> None:
    """Delete the Cluster and wait; the rest follows by owner references. Never the manifest: the DevCluster would go
    first, and then nobody removes the machines' finalizers."""
    kube.kubectl("-n", namespace, "delete", "cluster", name, "--timeout=180s")
