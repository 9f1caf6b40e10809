"""Each seeded bug is caught by the test that is named for it: what a rule's removal breaks is known, not hoped."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.seeded import (
    edge_bugs,
    guard_bugs,
    overlay_bugs,
    preflight_bugs,
    remediation_bugs,
    step_bugs,
    talos_bugs,
    trigger_bugs,
    verify_bugs,
)
from tests.seeded.bug import Bug

pytestmark = pytest.mark.mutants

TABLES = (
    guard_bugs,
    preflight_bugs,
    step_bugs,
    remediation_bugs,
    edge_bugs,
    talos_bugs,
    trigger_bugs,
    overlay_bugs,
    verify_bugs,
)
BUGS = tuple(bug for table in TABLES for bug in table.BUGS)
ROOT = Path(__file__).parents[2]
FOREIGN = 99
"""Exit code when the packages were not the tree's own; pytest ends with 1 when a test failed, 2 to 5 otherwise."""
START = f"""
import sys, guards, workflows, pytest
from pathlib import Path
here = Path.cwd()
own = Path(guards.__file__).is_relative_to(here) and Path(workflows.__file__).is_relative_to(here)
sys.exit(pytest.main(sys.argv[1:]) if own else {FOREIGN})
"""


def run(tree: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """These tests of the tree, with the tree's own packages."""
    # No plugins: they take longer to load than the named test to run, and none is needed.
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-c", START, "-q", "-x", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


def copy(folder: Path) -> Path:
    for name in ("guards", "workflows", "tests", "overlay"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "rollout.yaml"):
        shutil.copy(ROOT / name, folder)
    return folder


def caught(bug: Bug, folder: Path) -> str:
    """ "" when the named test fails because of the bug, else what happened instead."""
    tree = copy(folder)
    path = tree / bug.file
    path.write_text(path.read_text().replace(bug.old, bug.new))
    done = run(tree, bug.test)
    # A crash before the test proves nothing: the test itself has to fail ("1 error" also ends with 1).
    failed = done.returncode == 1 and done.stdout.rstrip().splitlines()[-1].startswith("1 failed")
    return "" if failed else f"{bug.test} ended with {done.returncode}\n{done.stdout[-800:]}"


def test_the_named_tests_pass_without_a_bug(tmp_path: Path) -> None:
    done = run(copy(tmp_path), *sorted({bug.test for bug in BUGS}))
    assert done.returncode == 0, done.stdout[-3000:]


def test_every_bug_is_caught(tmp_path: Path) -> None:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(lambda bug: caught(bug, tmp_path / bug.name), BUGS))
    escaped = {bug.name: what for bug, what in zip(BUGS, found, strict=True) if what}
    assert not escaped, "\n\n".join(f"{name}: {what}" for name, what in escaped.items())
