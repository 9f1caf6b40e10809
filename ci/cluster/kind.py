"""The same management cluster for people with a container engine: kind, Argo's release, Cluster API by clusterctl.

It has not been run by us: there is no Docker daemon where this project is built. `up` may be repeated.
"""

import os
import shutil
import subprocess
from pathlib import Path

from ci.cluster import argo, render
from ci.cluster.processes import say
from ci.cluster.settings import ARGO_NAMESPACE, STATE, ClusterError, pins
from ci.image.build import build

NAME = "capi-rollout"
KUBECONFIG = STATE.with_name("capi-rollout-kind.kubeconfig")
RELEASE = "https://github.com/argoproj/argo-workflows/releases/download/{version}/install.yaml"
PROGRAMS = {"api": ("kind", "kubectl"), "argo": (), "pods": (), "capi": ("clusterctl",)}


def check(*programs: str) -> None:
    """A container engine that answers, and the programs. A docker client alone is not enough."""
    if not shutil.which("docker"):
        raise ClusterError("docker is not on PATH; next: install Docker, or leave out --provider kind")
    asked = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    if asked.returncode:
        said = (asked.stderr.strip() or asked.stdout.strip()).splitlines()[-1:]
        raise ClusterError(
            f"docker info: no daemon answers ({''.join(said)}); next: start Docker, or leave out --provider kind"
        )
    for program in programs:
        if not shutil.which(program):
            raise ClusterError(f"{program} is not on PATH; next: install it, or leave out --provider kind")


def up(level: str) -> None:
    """A kind cluster at this level; argo and pods are the same thing here."""
    if level not in PROGRAMS:
        raise ClusterError(f"level {level} is not made with kind; next: leave out --provider kind")
    check(*PROGRAMS["api"], *PROGRAMS[level])
    create()
    if level != "api":
        argo_workflows()
        run("kind", "load", "image-archive", str(step_image()), "--name", NAME)
    if level == "capi":
        cluster_api()
    say(f"up on kind at level {level}; next: export KUBECONFIG={KUBECONFIG}")


def down() -> None:
    check(*PROGRAMS["api"])
    run("kind", "delete", "cluster", "--name", NAME)
    KUBECONFIG.unlink(missing_ok=True)


def create() -> None:
    """The cluster, from a node image that is pinned by digest; kept when it stands already."""
    if NAME in shows("kind", "get", "clusters").split():
        run("kind", "export", "kubeconfig", "--name", NAME, "--kubeconfig", str(KUBECONFIG))
        return
    where = ("--name", NAME, "--kubeconfig", str(KUBECONFIG))
    run("kind", "create", "cluster", *where, "--image", pins()["KIND_NODE_IMAGE"], "--wait", "120s")


def argo_workflows() -> None:
    """Argo's own manifests, and the right of hand-written test Workflows to report results."""
    apply = ("kubectl", "apply", "--server-side", "--force-conflicts")
    rights = [each for each in argo.settings() if each["kind"] in argo.RBAC]
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ARGO_NAMESPACE}}
    run(*apply, "-f", "-", stdin=render.as_list([namespace, *rights]))
    run(*apply, "-n", ARGO_NAMESPACE, "-f", RELEASE.format(version=pins()["ARGO_WF_VERSION"]))
    run("kubectl", "-n", ARGO_NAMESPACE, "rollout", "status", "deployment/workflow-controller", "--timeout=180s")


def step_image() -> Path:
    image = build()
    say(f"step image {image.reference}")
    return image.archive


def cluster_api() -> None:
    """Core, kubeadm and Talos providers; `docker` brings the in-memory machines. clusterctl refuses a second init."""
    if shows("kubectl", "get", "namespace", "capi-system", "--ignore-not-found", "-o", "name"):
        return
    version, cabpt, cacppt = (pins()[pin] for pin in ("CAPI_VERSION", "CABPT_VERSION", "CACPPT_VERSION"))
    run(
        "clusterctl",
        "init",
        f"--core=cluster-api:{version}",
        f"--bootstrap=kubeadm:{version},talos:{cabpt}",
        f"--control-plane=kubeadm:{version},talos:{cacppt}",
        f"--infrastructure=docker:{version}",
        "--wait-providers",
    )


def shows(*command: str) -> str:
    """Standard output of one command against the kind cluster."""
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()}; next: kind get clusters")
    return done.stdout


def run(*command: str, stdin: str | None = None) -> None:
    """One command against the kind cluster; its output is shown."""
    done = subprocess.run(command, input=stdin, text=True, env=environment(), check=False)
    if done.returncode:
        raise ClusterError(f"{' '.join(command)} ended with {done.returncode}, see above; next: the same command again")


def environment() -> dict[str, str]:
    return {**os.environ, "KUBECONFIG": str(KUBECONFIG), "CLUSTER_TOPOLOGY": "true"}
