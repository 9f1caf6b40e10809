"""The same management cluster for people with a container engine: kind, Argo's own manifests, clusterctl.

Not run by us: no Docker daemon where this project is built. Level capi needs clusterctl.
"""

import shutil
import subprocess
from pathlib import Path

from ci.cluster.processes import say
from ci.cluster.settings import ARGO_NAMESPACE, STATE, ClusterError, pins
from ci.image.build import build

NAME = "capi-rollout"
KUBECONFIG = STATE.with_name("capi-rollout-kind.kubeconfig")
ARGO = "https://github.com/argoproj/argo-workflows/releases/download/{version}/install.yaml"


def run(*command: str) -> None:
    done = subprocess.run(command, check=False)
    if done.returncode:
        raise ClusterError(f"{' '.join(command)} failed, see above")


def check() -> None:
    """A container engine that answers, and the programs. A docker client alone is not enough."""
    for program in ("docker", "kind", "kubectl"):
        if not shutil.which(program):
            raise ClusterError(f"{program} is not on PATH; next: install it, or leave out --provider kind")
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        raise ClusterError("docker info: no daemon answers; next: start Docker, or leave out --provider kind")


def up(level: str) -> None:
    """A kind cluster at level api, argo or pods (the same thing here), or capi."""
    check()
    if (
        NAME
        not in subprocess.run(["kind", "get", "clusters"], capture_output=True, text=True, check=True).stdout.split()
    ):
        image = pins()["KIND_NODE_IMAGE"]
        run(
            "kind",
            "create",
            "cluster",
            "--name",
            NAME,
            "--image",
            image,
            "--kubeconfig",
            str(KUBECONFIG),
            "--wait",
            "120s",
        )
    kubectl = ("kubectl", "--kubeconfig", str(KUBECONFIG))
    if level != "api":
        exists = subprocess.run([*kubectl, "get", "namespace", ARGO_NAMESPACE], capture_output=True, check=False)
        if exists.returncode:
            run(*kubectl, "create", "namespace", ARGO_NAMESPACE)
        manifest = ARGO.format(version=pins()["ARGO_WF_VERSION"])
        run(*kubectl, "-n", ARGO_NAMESPACE, "apply", "--server-side", "--force-conflicts", "-f", manifest)
        run(*kubectl, "-n", ARGO_NAMESPACE, "rollout", "status", "deployment/workflow-controller", "--timeout=180s")
        load(build().archive)
    if level == "capi":
        cluster_api()
    say(f"up on kind; next: export KUBECONFIG={KUBECONFIG}")


def load(archive: Path) -> None:
    """Make the step image known to the nodes."""
    run("kind", "load", "image-archive", str(archive), "--name", NAME)


def cluster_api() -> None:
    if not shutil.which("clusterctl"):
        raise ClusterError("clusterctl is not on PATH; next: install it, or use level pods")
    version = pins()["CAPI_VERSION"]
    providers = (
        f"--core=cluster-api:{version}", f"--bootstrap=kubeadm:{version},talos:{pins()['CABPT_VERSION']}",
        f"--control-plane=kubeadm:{version},talos:{pins()['CACPPT_VERSION']}", f"--infrastructure=docker:{version}",
    )  # fmt: skip
    run("env", "CLUSTER_TOPOLOGY=true", "clusterctl", "init", "--kubeconfig", str(KUBECONFIG), *providers)


def down() -> None:
    check()
    run("kind", "delete", "cluster", "--name", NAME)
    KUBECONFIG.unlink(missing_ok=True)
