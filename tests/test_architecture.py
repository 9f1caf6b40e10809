"""The layers of this repository hold, and what runs in pods stays small."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)


def test_import_contracts() -> None:
    done = python("-c", "from importlinter.cli import lint_imports_command as run; run()")
    assert done.returncode == 0, done.stdout
    assert " 0 broken" in done.stdout


def test_a_step_imports_neither_hera_nor_the_command_line() -> None:
    probe = "import sys, guards.__main__, guards.steps, guards.kube.client; print(*sys.modules)"
    loaded = set(python("-c", probe).stdout.split())
    assert "guards.steps" in loaded
    assert not loaded & {"hera", "typer", "rich", "workflows", "guards.simulator"}


def test_help_and_bad_input_do_not_wait_for_the_api_client() -> None:
    probe = "import sys, guards.__main__; print(*sys.modules)"
    assert "kubernetes" not in python("-c", probe).stdout.split()
