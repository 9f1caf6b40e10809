"""`python -m workflows verify` as a person, a pipe and a CI see it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import Result
from typer.testing import CliRunner

from tests.verify.layout import LAYOUTS
from workflows.cli import app
from workflows.verify.findings import RULES

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).parent / "golden"
SEVERAL = ("waves.same", "max-surge.absent", "secret-build.options", "plaintext-secret")
"""Twins of the layout `single` that make up the golden outputs."""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["verify", *arguments])


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with several faults, and a working folder above it."""
    layout = LAYOUTS["single"]
    layout.written(tmp_path / "tree")
    for twin in SEVERAL:
        for (path, number), line in layout.twins[twin].lines.items():
            file = tmp_path / "tree" / path
            lines = file.read_text().splitlines()
            lines[number - 1] = line
            file.write_text("\n".join(lines) + "\n")
    (tmp_path / "tree/old, new.yaml").write_text("a: 100%\na: x\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("form", ["table", "github"])
def test_golden(form: str, broken: Path) -> None:
    result = run("tree", "-o", form)
    assert result.exit_code == 3
    assert result.stdout == (GOLDEN / f"{form}.txt").read_text()
    assert result.stderr.splitlines()[-1].startswith("7 errors, 0 warnings in 9 objects of 14 files")


def test_json_says_the_same(broken: Path) -> None:
    document = json.loads(run("tree", "-o", "json").stdout)
    first = document["findings"][0]
    assert {key: document[key] for key in ("errors", "warnings", "files")} == {"errors": 7, "warnings": 0, "files": 14}
    assert first["file"] == "tree/management/argo-cd/argocd-cm.yaml"
    assert {*first} == {"rule", "level", "file", "line", "object", "text", "next"}
    assert all(all(each.values()) for each in document["findings"])


def _object(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties, "additionalProperties": False}


TEXT = {"type": "string", "minLength": 1}
MESSAGE = _object(("text",), text=TEXT)
LOCATION = _object(
    ("physicalLocation",),
    physicalLocation=_object(
        ("artifactLocation", "region"),
        artifactLocation=_object(("uri",), uri={"type": "string", "pattern": r"^[^\s,\\]+$"}),
        region=_object(("startLine",), startLine={"type": "integer", "minimum": 1}),
    ),
)
SARIF = _object(
    ("version", "runs", "$schema"),
    **{
        "$schema": {
            "const": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
        }
    },
    version={"const": "2.1.0"},
    runs={
        "type": "array",
        "minItems": 1,
        "items": _object(
            ("tool", "results"),
            tool=_object(
                ("driver",),
                driver=_object(
                    ("name", "rules"),
                    name=TEXT,
                    rules={"type": "array", "items": _object(("id",), id=TEXT, shortDescription=MESSAGE)},
                ),
            ),
            results={
                "type": "array",
                "minItems": 1,
                "items": _object(
                    ("ruleId", "ruleIndex", "level", "message", "locations"),
                    ruleId={"enum": list(RULES)},
                    ruleIndex={"type": "integer", "minimum": 0},
                    level={"enum": ["none", "note", "warning", "error"]},
                    message=MESSAGE,
                    locations={"type": "array", "minItems": 1, "items": LOCATION},
                ),
            },
        ),
    },
)
"""What SARIF 2.1.0 requires, and GitHub's code scanning beyond that; as with OASIS no other property is allowed."""


def test_sarif_has_the_published_structure(broken: Path) -> None:
    document = json.loads(run("tree", "-o", "sarif").stdout)
    jsonschema.validate(document, SARIF)
    rules = document["runs"][0]["tool"]["driver"]["rules"]
    results = document["runs"][0]["results"]
    assert len(results) == 7
    assert all(rules[each["ruleIndex"]]["id"] == each["ruleId"] for each in results)
    assert results[-1]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "tree/old%2C%20new.yaml"


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("", "", "no such folder"),
        ("tree/a.txt", "x", "no YAML files"),
        ("tree/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n", "none of the objects that matter"),
        ("tree/a.yaml", "# nothing\n", "none of the objects that matter"),
    ],
)
def test_what_holds_nothing_to_verify_is_bad_usage(
    path: str, text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if path:
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text(text)
    result = run("tree")
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert "Next: " in result.stderr


def test_warnings_alone_end_with_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(LAYOUTS["single"].written(tmp_path, "unlisted"))
    result = run(".")
    assert (result.exit_code, result.stdout[:1]) == (0, "⚠")
    assert "changes since HEAD were not verified" in result.stderr
    assert run(str(tmp_path)).exit_code == 0


def test_a_reference_that_cannot_be_checked_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Templates may be kept elsewhere; but where some are, a name that is not among them is wrong."""
    monkeypatch.chdir(LAYOUTS["plain"].written(tmp_path))
    file = Path("home/cluster.yaml")
    text = file.read_text()
    file.write_text(text.replace("kind: MetalMachineTemplate\nmetadata", "kind: Other\nmetadata"))
    result = run(".")
    assert (result.exit_code, result.stdout.count("cannot be checked")) == (0, 3)
    file.write_text(text.replace("name: homelab, namespace", "name: other, namespace"))
    result = run(".")
    assert (result.exit_code, result.stdout.count("which must exist; the tree has")) == (3, 6)


def test_every_rule_is_documented() -> None:
    page = (ROOT / "docs/gitops.md").read_text()
    assert [rule for rule, holds in RULES.items() if f"| `{rule}` | {holds} |\n" not in page] == []


def test_our_own_overlay_and_a_whole_export_have_no_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    result = run("overlay", "-o", "json")
    assert (result.exit_code, json.loads(result.stdout)["errors"]) == (0, 0)


def test_changes_since_another_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder inside the repository, with a base outside of that folder."""
    layout = LAYOUTS["kustomize"]
    git = ("git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run((*git, "init", "-q"), check=True)
    for twin in ("", "parallel-deployments"):
        layout.written(tmp_path, twin)
        subprocess.run((*git, "add", "."), check=True)
        subprocess.run((*git, "commit", "-qm", "x"), check=True)
    monkeypatch.chdir(tmp_path / "overlays")
    assert "parallel-deployments" not in run("home").stdout
    result = run("home", "--since", "HEAD~1", "-o", "github")
    assert "::error file=../base/pools.yaml,line=20,title=parallel-deployments::" in result.stdout
    assert "not verified" in run("home", "--since", "nothing").stderr
