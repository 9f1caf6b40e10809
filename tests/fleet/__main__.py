"""`python -m tests.fleet`: the rows of `scripts/bench` that need the real client, pages over a socket, and memory."""

import json
import subprocess
import sys

from tests.bench import say
from tests.fleet.server import SIZE, Fleet


def measured() -> dict[str, float]:
    """Seconds of the looks and the decision, MiB of memory; see tests.fleet.look."""
    server = Fleet()
    try:
        command = [sys.executable, "-m", "tests.fleet.look", server.url]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    finally:
        server.close()
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    seen = measured()
    fleet = f"{SIZE} Machines, real client"
    say(f"first look, {fleet}, every kind", f"{seen['first']:.2f} s", "-")
    say(f"next look, {fleet}", f"{seen['next']:.2f} s", "-")
    say(f"decision and its lines, {SIZE} Machines", f"{seen['decision'] * 1000:.1f} ms of CPU", "20 ms")
    say(f"peak memory, {fleet}", f"{seen['memory']:.0f} MiB", "96 MiB")
    say("  of it before the first look", f"{seen['idle']:.0f} MiB", "-")


if __name__ == "__main__":
    main()
