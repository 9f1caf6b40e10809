"""Which tests run: the fast ones always; --mutants and --cluster add the slow ones, then nothing skips by itself.

And what all of them have in common: no planted secret gets out, whatever is tested.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.edge.canary import leaks
from tests.edge.eavesdrop import Ears

WATCHED = frozenset(("edge", "talos", "remediation", "simulator", "signals"))
"""Folders of the tests in which secrets are planted."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cluster", action="store_true", help="everything, on a real management cluster")
    parser.addoption(
        "--mutants", action="store_true", help="also the seeded bugs: every rule has a test that misses it"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    everything = config.getoption("--cluster")
    off = set()
    if not everything:
        off.add("cluster")
        if not config.getoption("--mutants"):
            off.add("mutants")
    # Scenarios on the cluster are mostly waited for: everything else runs meanwhile, what looks at them comes last.
    items.sort(key=lambda item: item.get_closest_marker("plays") is not None)
    left_out = [item for item in items if any(item.get_closest_marker(marker) for marker in off)]
    if left_out:
        items[:] = [item for item in items if item not in set(left_out)]
        config.hook.pytest_deselected(items=left_out)


def is_watched(item: pytest.Item) -> bool:
    return item.path.parent.name in WATCHED and item.path.name != "test_canary.py"


@pytest.fixture(autouse=True)
def _no_secret_gets_out(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if not is_watched(request.node):
        yield
        return
    ears = Ears(monkeypatch)
    try:
        yield
    finally:
        ears.close()
    assert ears.leaks() == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Standard output and error of the whole test, once it is over."""
    report = yield
    printed = "".join(text for _, text in report.sections)
    if report.when == "teardown" and is_watched(item) and leaks(printed):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: a planted secret was printed"
    return report


@pytest.fixture(scope="session")
def promised(request: pytest.FixtureRequest) -> bool:
    """Whether other people's tools and modules have to be there: in CI, and with --cluster."""
    return os.environ.get("CI") == "true" or bool(request.config.getoption("--cluster", default=False))


@pytest.fixture(scope="session")
def must_have(promised: bool) -> Callable[[str], Any]:
    """Skips the test for want of a tool; fails it where tools are promised."""

    def missing(what: str) -> None:
        if promised:
            pytest.fail(f"{what}: run scripts/install --cluster")
        pytest.skip(what)

    return missing


@pytest.fixture(scope="session")
def go_module(
    tmp_path_factory: pytest.TempPathFactory, promised: bool, must_have: Callable[[str], Any]
) -> Callable[[str], Path]:
    """Folder of `module@version` in Go's module cache; downloaded only where tools are promised."""
    go = shutil.which("go") or "/usr/local/go/bin/go"
    outside_any_module = tmp_path_factory.mktemp("go")
    offline = {} if promised else {"GOPROXY": "off"}

    def folder(module: str) -> Path:
        try:
            found = subprocess.run(
                [go, "mod", "download", "-json", module],
                cwd=outside_any_module,
                env=os.environ | offline,
                capture_output=True,
                text=True,
            )
        except FileNotFoundError:
            must_have("no go on PATH, needed for the schemas")
        answer = json.loads(found.stdout or "{}")
        if "Dir" not in answer:
            must_have(f"{module} is not in the Go module cache: {answer.get('Error', found.stderr)}")
        return Path(answer["Dir"])

    return folder
