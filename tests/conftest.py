"""Which tests run: the fast ones always; --mutants and --cluster add the slow ones, then nothing skips by itself."""

import pytest


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
