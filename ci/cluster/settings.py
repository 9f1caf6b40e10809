"""Where things are, which versions are pinned, and the few names and addresses everything agrees on."""

import os
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "capi-rollout"
"""What is worth keeping between runs and clones: binaries, images, rendered manifests."""
BIN = Path(os.environ.get("CLUSTER_BIN") or CACHE / "bin")
STATE = Path("/var/tmp/capi-rollout-cluster")  # noqa: S108  fixed on purpose: one cluster per machine, found after a crash
"""Keys, data, logs and process records of the running cluster. `down --purge` removes it."""
PKI = STATE / "pki"
LOGS = STATE / "logs"
SOCKET = Path("/run/capi-rollout-cluster/containerd.sock")  # a short path: unix sockets end at 108 bytes
KUBECONFIG = PKI / "admin.kubeconfig"

LEVELS = ("api", "argo", "pods", "capi", "events")
"""Each level contains the ones before it."""
NODE = "node0"
NETWORK = "capi-rollout-cluster"
"""Name of the CNI network, of the cgroup below the caller's own, and comment of every iptables rule."""
BRIDGE = "cni-rollout0"
POD_CIDR = "10.244.0.0/24"
SERVICE_CIDR = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
TALOS_SUBNET = "10.90"
"""First two octets of the in-memory Talos machines: local to this machine, and reachable from its pods."""
ARGO_NAMESPACE = "argo"


class ClusterError(Exception):
    """Something about the test cluster does not hold; the message names it and the next command."""


@cache
def pins() -> dict[str, str]:
    """versions.env: NAME -> value."""
    lines = (HERE / "versions.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@cache
def node_ip() -> str:
    """The address of this machine that pods can reach: the source of its default route, else its first address."""
    # 192.0.2.1 (TEST-NET-1) is never contacted; the kernel only looks up the route.
    route = subprocess.run(["ip", "-4", "-o", "route", "get", "192.0.2.1"], capture_output=True, text=True, check=False)
    words = route.stdout.split()
    if "src" in words:
        return words[words.index("src") + 1]
    found = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()
    if not found:
        raise ClusterError("this machine has no IPv4 address, but pods must reach the API server: run `ip -4 address`")
    return found[0]


def environment() -> dict[str, str]:
    """The environment of every child: our binaries first, our cluster as the only one they know."""
    return {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "KUBECONFIG": str(KUBECONFIG)}
