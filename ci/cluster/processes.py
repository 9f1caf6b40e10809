"""The processes of the cluster: started detached, recorded on disk, stopped by record and never by name.

One JSON file per process holds its pid, its start time and a digest of how it was started. The start time makes sure
that a recycled pid is never killed; the digest tells when flags or configuration have changed.
"""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from time import monotonic

from ci.cluster.settings import LOGS, STATE, ClusterError, environment

RECORDS = STATE / "processes"
_BEGAN = monotonic()


def say(text: str) -> None:
    """One line of progress on stderr, with the seconds since the start."""
    print(f"{monotonic() - _BEGAN:6.1f}s  {text}", file=sys.stderr, flush=True)


def pause(seconds: float) -> None:
    """Wait between two looks at a condition; the only place that lets time pass."""
    Event().wait(seconds)


@dataclass(frozen=True)
class Program:
    """How one process is started. `ready` answers whether it serves; `files` are read at its start only."""

    name: str
    argv: tuple[str, ...]
    ready: Callable[[], bool]
    env: dict[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    timeout: float = 60

    def digest(self) -> str:
        """Changes when a restart would make a difference: flags, environment, configuration files, the program."""
        binary = os.stat(self.argv[0])
        parts = [*self.argv, repr(sorted(self.env.items())), str((binary.st_size, binary.st_mtime_ns))]
        parts += [path.read_text() for path in self.files]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Record:
    """A process that was started: `started` is /proc's start time in clock ticks since boot."""

    name: str
    pid: int
    started: int
    boot: str
    digest: str

    def alive(self) -> bool:
        return self.boot == boot_id() and start_time(self.pid) == self.started


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> int | None:
    """Start time of a running process in ticks since boot, None when there is none (a zombie counts as none)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # the name in brackets may hold blanks
    return None if fields[0] in "ZX" else int(fields[19])


def records() -> list[Record]:
    """Every process on record, oldest first."""
    files = sorted(RECORDS.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    return [Record(**json.loads(path.read_text())) for path in files]


_children: list[subprocess.Popen[bytes]] = []
"""What this process has started and outlives it; a Popen object that is collected while its program runs complains."""


def start(program: Program) -> None:
    """Start it, or leave it alone when it runs as wanted, or restart it when its flags or files have changed."""
    LOGS.mkdir(parents=True, exist_ok=True)
    RECORDS.mkdir(parents=True, exist_ok=True)
    known = next((record for record in records() if record.name == program.name), None)
    if known and known.alive():
        if known.digest == program.digest():
            return
        say(f"{program.name}: flags or configuration changed, restarting")
        stop(known)
    with (LOGS / f"{program.name}.log").open("wb") as log:
        child = subprocess.Popen(
            program.argv,
            env={**environment(), **program.env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
        )
    _children.append(child)
    started = start_time(child.pid)
    if started is None:
        raise failure(program.name, "ended at once")
    record = Record(program.name, child.pid, started, boot_id(), program.digest())
    (RECORDS / f"{program.name}.json").write_text(json.dumps(vars(record)))


def wait_ready(program: Program) -> None:
    """Return when it serves. ClusterError with the end of its log when it dies first or takes too long."""
    record = next(record for record in records() if record.name == program.name)
    deadline = monotonic() + program.timeout
    while not program.ready():
        if not record.alive():
            raise failure(program.name, "ended before it was ready")
        if monotonic() > deadline:
            raise failure(program.name, f"not ready within {program.timeout:.0f} s")
        pause(0.1)


def run(*programs: Program) -> None:
    """Start all of them, then wait for each."""
    for program in programs:
        start(program)
    for program in programs:
        wait_ready(program)
    say(f"ready: {', '.join(program.name for program in programs)}")


def failure(name: str, what: str) -> ClusterError:
    log = LOGS / f"{name}.log"
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else "(no log)"
    return ClusterError(
        f"{name}: {what}; the end of {log}:\n{tail}\nnext: scripts/cluster status, scripts/cluster down"
    )


def stop(*doomed: Record, grace: float = 5) -> None:
    """End these processes together, by force after `grace` seconds, and forget them."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        for record in doomed:
            send(record, how)
        deadline = monotonic() + grace
        while any(record.alive() for record in doomed) and monotonic() < deadline:
            pause(0.05)
    for record in doomed:
        if record.alive():
            raise ClusterError(f"{record.name}: pid {record.pid} survived SIGKILL; see /proc/{record.pid}/stack")
        (RECORDS / f"{record.name}.json").unlink(missing_ok=True)
    for child in _children:
        if child.pid in {record.pid for record in doomed}:
            child.wait()  # its first thread has ended, the others take a moment; reaped, it is silent when we end


def send(record: Record, how: signal.Signals) -> None:
    """Signal exactly this process: the descriptor pins the pid before its start time is compared."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(record.pid)
        try:
            if record.alive():
                signal.pidfd_send_signal(descriptor, how)
        finally:
            os.close(descriptor)
