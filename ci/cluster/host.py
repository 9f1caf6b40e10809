"""What the cluster changes on this machine outside its own folder, and how each change is undone.

Undoing looks at what is there, not only at what was written down, so that it works after a crash of anything.
"""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path

from ci.cluster.processes import pause, start_time
from ci.cluster.settings import API_SERVICE, BRIDGE, NETWORK, SOCKET, STATE, TALOS_SUBNET, ClusterError, node_ip

SYSCTLS = (  # the kubelet sets the first six, the CNI bridge plugin the last
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
    "net/ipv4/ip_forward",
)
SYSCTLS_BEFORE = STATE / "sysctls-before.json"
CNI_RESULTS = Path("/var/lib/cni/results")
CGROUPS = Path("/sys/fs/cgroup")
TALOS_ROUTE = ("local", f"{TALOS_SUBNET}.0.0/16", "dev", "lo")


def quiet(*command: str) -> str:
    """Output of a command whose failure is an answer too."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def required(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()}; pods need root and iptables, iproute2")


def prepare() -> None:
    """Remember the sysctls as they were before us; make the API reachable at its Service address without kube-proxy."""
    if not SYSCTLS_BEFORE.exists():
        before = {name: value for name in SYSCTLS if (value := read_sysctl(name)) is not None}
        SYSCTLS_BEFORE.write_text(json.dumps(before))
    for chain in ("PREROUTING", "OUTPUT"):  # pods, and this machine itself
        rule = f"{chain} -d {API_SERVICE}/32 -p tcp --dport 443 -m comment --comment {NETWORK}".split()
        target = ["-j", "DNAT", "--to-destination", f"{node_ip()}:6443"]
        checked = subprocess.run(["iptables", "-t", "nat", "-C", *rule, *target], capture_output=True, check=False)
        if checked.returncode:
            required("iptables", "-t", "nat", "-A", *rule, *target)


def read_sysctl(name: str) -> str | None:
    path = Path("/proc/sys") / name
    return path.read_text().strip() if path.exists() else None


def add_talos_route() -> None:
    """Make the addresses of the Talos machines local: this machine answers them, also to its pods."""
    if not quiet("ip", "route", "show", "table", "local", f"{TALOS_SUBNET}.0.0/16"):
        required("ip", "route", "add", *TALOS_ROUTE)


def cgroup() -> str | None:
    """Parent of all pods, below the caller's own memory cgroup: pods stay accounted to, and end with, whatever started
    the cluster. None on cgroup v2, where the kubelet's own layout is fine."""
    if os.path.exists(CGROUPS / "cgroup.controllers"):
        return None
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    own = next(line.split(":", 2)[2] for line in lines if line.split(":")[1] == "memory")
    return f"{own.rstrip('/')}/{NETWORK}"


def make_cgroup(parent: str) -> None:
    for controller in ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "systemd"):
        if (CGROUPS / controller).is_dir():
            (CGROUPS / controller / parent.lstrip("/")).mkdir(parents=True, exist_ok=True)
    folder = CGROUPS / "cpuset"
    for part in parent.strip("/").split("/"):  # a new cpuset is empty and takes no process until it is filled
        above, folder = folder, folder / part
        for name in ("cpuset.cpus", "cpuset.mems"):
            if folder.is_dir() and not (folder / name).read_text().strip():
                (folder / name).write_text((above / name).read_text())


def restore() -> None:
    """Undo everything; each part stands for itself and finds nothing the second time."""
    kill_containers()
    unmount()
    remove_network()
    remove_cgroups()
    if SYSCTLS_BEFORE.exists():
        for name, value in json.loads(SYSCTLS_BEFORE.read_text()).items():
            if read_sysctl(name) != value:
                (Path("/proc/sys") / name).write_text(value)
        SYSCTLS_BEFORE.unlink()
    shutil.rmtree(SOCKET.parent, ignore_errors=True)


def own_cgroups() -> list[Path]:
    """Every cgroup folder of our name, whoever started the cluster, the deepest first."""
    found = [path for path in CGROUPS.glob(f"*/**/{NETWORK}") if path.is_dir()]
    below = [path for root in found for path in root.glob("**/") if path.is_dir()]
    return sorted(set(found + below), key=lambda path: len(path.parts), reverse=True)


def shims() -> Iterable[int]:
    """The shims that containerd leaves behind on purpose: known by our socket in their arguments."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:  # it ended in this moment
                continue
            if b"containerd-shim" in words[0] and os.fsencode(SOCKET) in words:
                yield int(entry.name)


def kill_containers() -> None:
    """Containers outlive containerd: kill whatever is left in our cgroups, and the shims around it."""
    pids = set(shims())
    for folder in own_cgroups():
        procs = folder / "cgroup.procs"
        pids |= {int(pid) for pid in procs.read_text().split()} if procs.exists() else set()
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    for _ in range(100):
        if all(start_time(pid) is None for pid in pids):
            return
        pause(0.05)
    raise ClusterError(f"containers survived SIGKILL: pids {sorted(pids)}; look at `cat /proc/PID/stack`")


def unmount() -> None:
    """Unmount what lies in our folder (root file systems and volumes of pods), the deepest first."""
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in sorted(points, reverse=True):
        if point.startswith((f"{STATE}/", f"{SOCKET.parent}/")):
            required("umount", "-l", point)


def remove_network() -> None:
    """Network namespaces of pods by CNI's own results, then the bridge, our iptables rules and the Talos route."""
    for result in CNI_RESULTS.glob(f"{NETWORK}-*"):
        for namespace in set(re.findall(r"/netns/(cni-[0-9a-f-]+)", result.read_text())):
            quiet("ip", "netns", "delete", namespace)
        result.unlink(missing_ok=True)
    quiet("ip", "link", "delete", BRIDGE)
    for rule in quiet("iptables", "-t", "nat", "-S").splitlines():
        if rule.startswith("-A") and f"--comment {NETWORK} " in rule:
            required("iptables", "-t", "nat", *rule.replace("-A", "-D", 1).split())
    quiet("ip", "route", "delete", *TALOS_ROUTE)


def remove_cgroups() -> None:
    """Cgroups go when their last process is gone, which takes the kernel a moment."""
    for _ in range(100):
        left = own_cgroups()
        for folder in left:
            try:
                folder.rmdir()
            except OSError:
                continue
        if not left:
            return
        pause(0.05)
    raise ClusterError(f"cgroups remain: {own_cgroups()[-1]}; run `scripts/cluster down` again")
