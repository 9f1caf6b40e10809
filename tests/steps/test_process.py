"""The real process: exit codes, signals, the files of a pod."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def kubeconfig(path: Path, server: str) -> Path:
    path.write_text(
        json.dumps(
            {
                "clusters": [{"name": "c", "cluster": {"server": server}}],
                "users": [{"name": "u", "user": {"token": "secret-token"}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    return path


def start(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
    clean = {key: value for key, value in os.environ.items() if not key.startswith("CAPI_ROLLOUT_")}
    return subprocess.Popen(
        [sys.executable, "-m", "guards", *arguments],
        cwd=ROOT,
        env={**clean, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_bad_input_is_2_and_one_line(tmp_path: Path) -> None:
    process = start("workers", "--cluster-name", "homelab", "--scope", "worker")
    out, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "scope (--scope): must be one of all, control-plane, workers, not 'worker'" in out
    assert err == ""


def test_no_cluster_is_2_with_the_next_command(tmp_path: Path) -> None:
    process = start("workers", "--cluster-name", "homelab", KUBECONFIG=str(tmp_path / "none"), HOME=str(tmp_path))
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "Next: pass --kubeconfig" in out


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_ends_a_step_that_waits_for_an_answer(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = f"http://127.0.0.1:{silent.getsockname()[1]}"
        config = kubeconfig(tmp_path / "config", server)
        process = start("workers", "--cluster-name", "homelab", "--kubeconfig", str(config))
        connection, _ = silent.accept()  # it asks, nobody answers
        process.send_signal(sent)
        out, err = process.communicate(timeout=20)
        connection.close()
    assert process.returncode == code
    assert "starting again is safe" in out or "nothing was changed" in out
    assert "secret-token" not in out + err
    assert "Traceback" not in err


BLOCKED = """
import signal, guards.__main__ as program
program.LONGEST_GOODBYE = 0.1
journal = program._journal()
journal._lock.acquire()  # as the step does that prints into a pipe which nobody reads
program._goodbye(journal, signal.SIGTERM)
"""


def test_a_log_that_is_blocked_does_not_keep_a_process_that_is_told_to_go() -> None:
    """The node's log driver stands still; the grace period must not run out over a last word."""
    done = subprocess.run([sys.executable, "-c", BLOCKED], cwd=ROOT, check=False, timeout=20)
    assert done.returncode == 75
