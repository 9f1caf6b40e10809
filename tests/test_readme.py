"""The README tells the truth: its commands run (but the test command), its files exist."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines() if line]
NEEDS_CLUSTER = (
    "kubectl",
    "argo ",
    "scripts/cluster",
    "scripts/test",
    "python -m workflows submit",
    "python -m workflows plan",
)


def runnable() -> list[str]:
    return [line.split("#")[0].strip() for line in SHELL if not line.startswith(NEEDS_CLUSTER)]


def test_it_begins_with_exactly_two_set_up_commands() -> None:
    first = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)[0].splitlines()
    assert [line.split()[0] for line in first] == ["scripts/demo", "scripts/test"]


@pytest.mark.parametrize("command", runnable())
def test_its_commands_run(command: str, tmp_path: Path) -> None:
    """As typed, from the root of the repository; what they write must leave the tree as it was committed."""
    environment = {**os.environ, "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        shlex.split(command), cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_an_active_environment_is_not_the_base_of_another_one() -> None:
    """scripts/install finds the Python behind it, and with that the environment that is there."""
    scripts = ROOT / ".venv/bin"
    before = scripts.resolve()
    active = {**os.environ, "PATH": f"{scripts}:{os.environ['PATH']}"}
    subprocess.run(["scripts/install"], cwd=ROOT, env=active, capture_output=True, check=True)
    assert scripts.resolve() == before


@pytest.mark.parametrize("command", [line for line in SHELL if "submit" in line or "plan" in line])
def test_the_flags_of_cluster_commands_exist(command: str) -> None:
    words = shlex.split(command.split("#")[0])
    flags = {word.split("=")[0] for word in words if word.startswith("-")}
    help_text = subprocess.run(
        [ROOT / ".venv/bin/python", *words[1:4], "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert all(flag in help_text for flag in flags), flags


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#:]+)\)", README))
def test_its_links_exist(target: str) -> None:
    assert (ROOT / target).exists()
