"""`python -m tests.bench`: one table, a measurement a row. Medians; a ratio where the machine would decide otherwise."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping

from tests.bench import fleet

REPEATS = 7


def processes(*commands: tuple[str, ...]) -> list[float]:
    """Median seconds of each command, taken in turn, so that a busy moment hits all of them."""
    environment = {**os.environ, "KUBECONFIG": os.devnull}
    taken: list[list[float]] = [[] for _ in commands]
    for _ in range(REPEATS):
        for times, command in zip(taken, commands, strict=True):
            begun = time.perf_counter()
            subprocess.run([sys.executable, *command], env=environment, capture_output=True, check=False)
            times.append(time.perf_counter() - begun)
    return [statistics.median(times) for times in taken]


def median(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def starts() -> Iterator[tuple[str, str, str]]:
    # Without a cluster a verb ends where it would connect: everything is imported by then.
    bare, usage, verb = processes(
        ("-c", "pass"), ("-m", "guards", "--help"), ("-m", "guards", "preflight", "--cluster-name", "homelab")
    )
    yield "python -c pass", f"{bare:.2f} s", ""
    yield "step start, --help", f"{usage:.2f} s", ""
    yield "step start, until it connects", f"{verb:.2f} s", "<= 0.5 s"
    hera, export = processes(("-c", "import hera.workflows"), ("-m", "workflows", "export", "--check"))
    yield "export / import hera.workflows", f"{export / hera:.2f} x ({export:.2f} s / {hera:.2f} s)", "<= 1.2 x"


def rehearsals() -> Iterator[tuple[str, str, str]]:
    from workflows.rehearse import rehearse

    rehearse("converged")  # imports done
    yield "rehearsal of 13 machines", f"{median(lambda: rehearse('thirteen')):.2f} s", "<= 0.2 s"
    waiting, rolling = rehearse("stuck"), rehearse("thirteen")
    for name, run in (("a stuck roll, mostly waiting", waiting), ("a roll of 13 machines", rolling)):
        yield f"requests per minute, {name}", f"{run.requests / run.simulated_seconds * 60:.1f}", "<= 15"


def large() -> Iterator[tuple[str, str, str]]:
    seen: Mapping[str, float] = fleet.measured()
    size = f"{fleet.SIZE:,} Machines"
    yield f"first look, {size}, 5 lists", f"{seen['first']:.2f} s", ""
    yield f"next look, {size} listed again", f"{seen['next']:.2f} s", ""
    yield f"decision, {size}", f"{seen['decision'] * 1000:.0f} ms", "<= 20 ms"
    yield f"peak memory, {size}", f"{seen['memory']:.0f} MiB", "<= 96 MiB"
    yield "  of it before the first look", f"{seen['idle']:.0f} MiB", ""


def main() -> None:
    print(f"{'':44}{'measured':32}target")
    for part in (starts, rehearsals, large):
        for name, measured, target in part():
            print(f"{name:44}{measured:32}{target}", flush=True)


main()
