"""The recipes from which the test cluster's programs are built can be read: a warm cache would hide one that cannot."""

from pathlib import Path

import pytest

CLUSTER = Path(__file__).parents[1] / "ci" / "cluster"
RECIPES = sorted(CLUSTER.rglob("go.mod"))
DIRECTIVES = {"module", "go", "tool", "require", "replace", "exclude", "retract", "toolchain"}


def test_every_group_has_its_recipe() -> None:
    assert [path.parent.name for path in RECIPES] == ["talos-lab", "capi", "etcd", "events", "k8s", "talos", "talosctl"]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: str(path.parent.name))
def test_every_line_of_a_recipe_is_a_directive_and_the_module_is_named_once(recipe: Path) -> None:
    outside = [row for row in recipe.read_text().splitlines() if row and row[0] not in "\t)" and row[:2] != "//"]
    assert {row.split()[0] for row in outside} <= DIRECTIVES
    assert sum(row.startswith("module ") for row in outside) == 1
