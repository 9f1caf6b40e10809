"""Which tests run: the fast ones always; --mutants and --cluster add the slow ones, then nothing skips by itself.

And what all of them have in common: no planted secret gets out, whatever is tested.
"""

from collections.abc import Iterator

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
