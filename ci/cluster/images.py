"""The images a pod of the cluster needs besides the step image, made by hand and kept in the cache: pause, argoexec."""

import subprocess
import tempfile
from pathlib import Path

from ci.cluster.argo import executor_image
from ci.cluster.settings import BIN, CACHE, ClusterError, pins
from ci.image import oci

IMAGES = CACHE / "images"
PAUSE = "localhost/pause:capi-rollout-1"
PAUSE_SOURCE = r"""
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void quit(int s) { (void)s; _exit(0); }
static void reap(int s) { (void)s; while (waitpid(-1, 0, WNOHANG) > 0) {} }
int main(void) { signal(SIGINT, quit); signal(SIGTERM, quit); signal(SIGCHLD, reap); for (;;) pause(); }
"""


def archives() -> list[Path]:
    """The archives to import, made when they are missing."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    return [pause_archive(), executor_archive()]


def pause_archive() -> Path:
    """What holds a pod's namespaces: wait for a signal, reap children."""
    archive = IMAGES / f"{PAUSE.rpartition(':')[2]}-pause.tar"
    if not archive.exists():
        with tempfile.TemporaryDirectory(dir=IMAGES) as scratch:
            program = Path(scratch) / "pause"
            command = ["cc", "-O2", "-static", "-x", "c", "-", "-o", str(program)]
            done = subprocess.run(command, input=PAUSE_SOURCE, capture_output=True, text=True, check=False)
            if done.returncode:
                raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()}; next: scripts/install --cluster")
            single_program(archive, PAUSE, "pause", program, "/pause")
    return archive


def executor_archive() -> Path:
    """Argo's executor: one static binary."""
    archive = IMAGES / f"argoexec-{pins()['ARGO_WF_VERSION']}.tar"
    if not archive.exists():
        single_program(archive, executor_image(), "bin/argoexec", BIN / "argoexec", "argoexec")
    return archive


def single_program(archive: Path, reference: str, name: str, program: Path, entrypoint: str) -> None:
    with tempfile.TemporaryDirectory(dir=IMAGES) as scratch:
        layer = oci.layer_of_files({name: program.read_bytes()}, Path(scratch) / "layer.tar", mode=0o755)
        oci.write(archive, reference, [layer], {"Entrypoint": [entrypoint]})
