"""Level pods: containerd and a kubelet on this machine, so that the pods of a Workflow really run. Needs root."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from ci.cluster import host, images, kube
from ci.cluster.processes import Program, run, say
from ci.cluster.settings import BIN, BRIDGE, HERE, NETWORK, NODE, PKI, POD_CIDR, SOCKET, STATE, ClusterError, node_ip
from ci.image import build

CTR = ("ctr", "--address", str(SOCKET), "--namespace", "k8s.io")
NEEDED = ("containerd", "containerd-shim-runc-v2", "ctr", "runc", "iptables", "ip", "debootstrap", "cc", "openssl")
CNI_PLUGINS = Path("/usr/lib/cni")


def check() -> None:
    """ClusterError when this machine lacks what pods need."""
    if os.geteuid() != 0:
        raise ClusterError("pods need root: containerd, cgroups, network; run it as root, or use `up argo`")
    missing = [name for name in NEEDED if not shutil.which(name)]
    missing += [] if (CNI_PLUGINS / "bridge").exists() else [f"{CNI_PLUGINS}/bridge"]
    if missing:
        raise ClusterError(f"not installed: {', '.join(missing)}; next: scripts/install --cluster")


def configuration(template: str, **more: str) -> Path:
    """A file of templates/ with its @NAMES@ filled in, written to the state folder."""
    values = {"RUN": str(STATE), "PKI": str(PKI), "SOCK": str(SOCKET), "PAUSE": images.PAUSE, **more}
    text = (HERE / "templates" / template).read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    path = STATE / template
    path.write_text(text)
    return path


def cni() -> None:
    """One bridge. No masquerading: pods need nothing beyond this machine, so CNI adds no iptables chain."""
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": POD_CIDR}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(STATE / "cni" / "addresses"),
    }
    bridge = {"type": "bridge", "bridge": BRIDGE, "isGateway": True, "hairpinMode": True, "ipam": ipam}
    folder = STATE / "cni"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "10-bridge.conflist").write_text(
        json.dumps({"cniVersion": "0.4.0", "name": NETWORK, "plugins": [bridge]})
    )


def containerd() -> Program:
    file = configuration("containerd.toml")
    argv = (str(shutil.which("containerd")), "-c", str(file))
    return Program("containerd", argv, containerd_answers, files=(file,))


def containerd_answers() -> bool:
    return subprocess.run([*CTR, "version"], capture_output=True, check=False).returncode == 0


def pods_parent() -> str | None:
    """The cgroup of all pods, chosen once for this life of the cluster: with another one the kubelet would restart."""
    chosen = STATE / "cgroup"
    if not chosen.exists():
        chosen.write_text(host.cgroup() or "")
    return chosen.read_text() or None


def kubelet() -> Program:
    parent = pods_parent()
    if parent:
        host.make_cgroup(parent)
    file = configuration("kubelet.yaml", CGROUP_ROOT=parent or "/")
    flags = f"""--config {file} --kubeconfig {PKI / "kubelet.kubeconfig"} --root-dir {STATE / "kubelet"}
        --cert-dir {STATE / "kubelet/pki"} --hostname-override {NODE} --node-ip {node_ip()} --v=2"""
    return Program("kubelet", (str(BIN / "kubelet"), *flags.split()), node_ready, files=(file,))


def node_ready() -> bool:
    try:
        conditions = kube.get(f"/api/v1/nodes/{NODE}")["status"].get("conditions", [])
    except OSError:
        return False
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def import_images(archives: Iterable[Path]) -> None:
    """Make images known to the kubelet."""
    for archive in archives:
        done = subprocess.run([*CTR, "images", "import", str(archive)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClusterError(
                f"ctr images import {archive}: {done.stderr.strip()}; next: scripts/cluster down --purge"
            )


def step_image() -> build.Image:
    """Build this tree's step image if needed, and make it known to the cluster if that runs."""
    image = build.build()
    if containerd_answers() and image.reference not in known_images():
        import_images([image.archive])
        say(f"imported {image.reference}")
    return image


def known_images() -> list[str]:
    return subprocess.run([*CTR, "images", "ls", "-q"], capture_output=True, text=True, check=True).stdout.split()


def prepare() -> None:
    """Everything that needs no API yet, so that it can happen while the API comes up."""
    host.prepare()
    cni()
    SOCKET.parent.mkdir(parents=True, exist_ok=True)
    run(containerd())
    import_images(images.archives())
    step_image()


def programs() -> tuple[Program, ...]:
    return containerd(), kubelet()


def up() -> None:
    run(*programs())
