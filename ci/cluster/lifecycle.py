"""Up and down: levels in order, a fresh etcd each time, nothing left behind."""

import fcntl
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from ci.cluster import api, argo, capi, events, host, pods
from ci.cluster.processes import Program, Record, records, run, say, stop
from ci.cluster.settings import HERE, LEVELS, LOGS, STATE, ClusterError

LOCK = STATE.with_suffix(".lock")
LEVEL = STATE / "level"
"""The levels that stand, one per line; written when a level is complete."""
THROWN_AWAY = (
    "etcd", "containerd", "kubelet", "cni", "pod-logs", "volume-plugins", "nats", "processes", "level", "cgroup",
)  # fmt: skip
"""What belongs to one life of the cluster; keys and logs stay."""
BUILDS = {
    "api": ("etcd", "k8s"),
    "argo": ("argo",),
    "pods": (),
    "capi": ("capi", "talos", "lab"),
    "events": ("events", "nats"),
}
MODULES = {"api": api, "argo": argo, "pods": pods, "events": events}


@contextmanager
def alone() -> Iterator[None]:
    """One `up` or `down` at a time on this machine."""
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another `scripts/cluster` is at work, waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def levels_up() -> tuple[str, ...]:
    return tuple(LEVEL.read_text().split()) if LEVEL.exists() else ()


def reachable(level: str) -> tuple[str, ...]:
    return LEVELS[: LEVELS.index(level) + 1]


def up(level: str, talos_lab_flags: tuple[str, ...]) -> None:
    """Bring the cluster to at least this level; what runs with other flags than now wanted is restarted."""
    wanted = reachable(level)
    if "pods" in wanted:
        pods.check()
    build(wanted)
    with alone():
        if not healthy():
            tear_down()
        standing = levels_up()
        api.prepare(fresh=not standing)
        with ThreadPoolExecutor(1) as background:  # images are imported while the API comes up
            loaded = background.submit(pods.prepare) if "pods" in wanted and "pods" not in standing else None
            for each in reachable(max((level, *standing), key=LEVELS.index)):
                if each == "pods" and loaded:
                    loaded.result()
                reach(each, talos_lab_flags, standing=each in standing)
            run(*api.programs())
        say(f'up at level {levels_up()[-1]}; next: eval "$(scripts/cluster env)"')


def build(levels: tuple[str, ...]) -> None:
    groups = [group for each in levels for group in BUILDS[each]]
    done = subprocess.run([HERE / "build.sh", *groups], check=False)
    if done.returncode:
        raise ClusterError(f"building {' '.join(groups)} failed, see above; next: scripts/install --cluster")


def healthy() -> bool:
    """False when nothing runs, or when something that was started is gone: then everything starts anew."""
    found = records()
    for record in found:
        if not record.alive():
            say(f"{record.name}: not running any more; starting afresh")
    return bool(found) and all(record.alive() for record in found)


def reach(level: str, talos_lab_flags: tuple[str, ...], *, standing: bool) -> None:
    if standing:
        run(*programs(level, talos_lab_flags))
        return
    if level == "capi":
        capi.up(talos_lab_flags)
    else:
        MODULES[level].up()
    with LEVEL.open("a") as file:
        print(level, file=file)


def programs(level: str, talos_lab_flags: tuple[str, ...]) -> tuple[Program, ...]:
    if level == "capi":
        return capi.programs(talos_lab_flags)
    found: tuple[Program, ...] = MODULES[level].programs()
    return found


def down(*, purge: bool) -> None:
    with alone():
        tear_down()
        if purge:
            shutil.rmtree(STATE, ignore_errors=True)
    say("down")


def tear_down() -> None:
    """Stop what was started, undo what was changed on this machine, drop the data. Finds nothing the second time."""
    STATE.mkdir(parents=True, exist_ok=True)
    stop(*records())
    host.restore()
    for name in THROWN_AWAY:
        remove(STATE / name)


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def status() -> list[str]:
    """One line per process: name, pid, running or dead, log."""
    return [line(record) for record in records()]


def line(record: Record) -> str:
    state = "running" if record.alive() else "DEAD"
    return f"{record.name:<24} {record.pid:>8}  {state:<8} {LOGS / record.name}.log"
