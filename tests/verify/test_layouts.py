"""Trees as people have them: clean ones give nothing, and each broken twin is found where it is broken."""

import subprocess
from pathlib import Path

import pytest

from tests.verify.layout import LAYOUTS
from workflows.verify.findings import RULES, Finding
from workflows.verify.judge import judge

TWINS = [(layout.name, twin) for layout in LAYOUTS.values() for twin in layout.twins]


def found(folder: Path, monkeypatch: pytest.MonkeyPatch, where: str = ".") -> tuple[Finding, ...]:
    monkeypatch.chdir(folder)
    return judge(where, "HEAD").findings


def committed(folder: Path) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    for command in (("init", "-q"), ("add", "."), (*identity, "commit", "-qm", "clean")):
        subprocess.run(("git", "-C", folder, *command), check=True, capture_output=True)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_clean_tree_gives_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(LAYOUTS[name].written(tmp_path), monkeypatch) == ()


@pytest.mark.parametrize("name", LAYOUTS)
def test_it_has_a_broken_twin_for_every_rule(name: str) -> None:
    assert {twin.partition(".")[0] for twin in LAYOUTS[name].twins} == RULES.keys()


@pytest.mark.parametrize(("name", "twin"), TWINS, ids=[f"{name}-{twin}" for name, twin in TWINS])
def test_the_broken_line_is_found(name: str, twin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = twin.partition(".")[0]
    layout = LAYOUTS[name]
    if rule in ("immutable", "parallel-deployments"):
        committed(layout.written(tmp_path))
    findings = found(layout.written(tmp_path, twin), monkeypatch)
    places = sorted({(each.place.path, each.place.line) for each in findings if each.rule == rule})
    assert places == layout.expected(twin), "\n".join(map(str, findings))
