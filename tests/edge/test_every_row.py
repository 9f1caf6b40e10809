"""Every row of the fault model names tests that exist, at least one of them with real sockets."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.edge.rows import ROWS

ROOT = Path(__file__).parents[2]
OVER_THE_WIRE = ("tests/edge/", "tests/signals/")
NO_SOCKET = frozenset(("tests/edge/test_clock.py",))


@cache
def named_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_the_rows_are_those_of_the_fault_model() -> None:
    assert list(ROWS) == [f"F-A{number}" for number in range(1, 21)]


@pytest.mark.parametrize("row", ROWS)
def test_its_tests_exist(row: str) -> None:
    missing = [test for test in ROWS[row].tests if test.split("::")[1] not in named_in(test.split("::")[0])]
    assert missing == []


@pytest.mark.parametrize("row", ROWS)
def test_it_is_proven_over_the_wire(row: str) -> None:
    files = {test.split("::")[0] for test in ROWS[row].tests}
    assert any(file.startswith(OVER_THE_WIRE) for file in files - NO_SOCKET), files
