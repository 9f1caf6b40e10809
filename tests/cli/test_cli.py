"""Help, forms of output, export, plan and rehearse as a person or a pipe sees them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from guards.parameters import ASKED
from tests.cli.conftest import ROOT, Run
from tests.cli.fakeapi import FakeApi

COMMANDS = ("export", "submit", "plan", "rehearse", "verify")


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_help_has_examples_that_exist(run: Run, command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    examples = [line.split("python -m workflows ")[1] for line in result.stdout.splitlines() if "  python -m w" in line]
    assert examples
    assert all(example.split()[0] in COMMANDS for example in examples)
    assert "exit codes:" in result.stdout


def test_every_parameter_is_a_flag(run: Run) -> None:
    text = run("submit", "--help").stdout
    flags = {knob.flag for knob in ASKED}
    assert flags <= {word.rstrip(",") for word in text.split()}


def test_colour_is_for_terminals_that_want_it(run: Run) -> None:
    assert "\x1b" not in run("submit", "--scope", "x").output


def test_a_wrong_command_or_flag(run: Run) -> None:
    result = run("submot")
    assert (result.exit_code, "Did you mean 'submit'" in result.stderr) == (2, True)
    assert run("submit", "--scpoe", "all").exit_code == 2
    assert run("submit", "-o", "xml").exit_code == 2


def test_neither_hera_nor_the_client_is_loaded_for_help() -> None:
    code = "import sys, workflows.cli; print([m for m in ('hera', 'kubernetes', 'rich') if m in sys.modules])"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "[]\n"


# -- export


def test_export_writes_and_then_agrees(run: Run, folder: Path) -> None:
    template = folder / "overlay/management/argo-workflows/capi-rollout-workflowtemplate.yaml"
    assert "create overlay/management/argo-workflows/" in run("export").stdout
    assert template.exists()
    result = run("export", "--check")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "files are up to date" in result.stderr
    template.write_text(template.read_text() + "# edited\n")
    result = run("export", "--check")
    assert result.exit_code == 3
    assert result.stdout == f"update {template.relative_to(folder)}\n"
    assert "1 of " in result.stderr
    assert "Next: python -m workflows export" in result.stderr
    result = run("export", "--diff")
    assert result.exit_code == 3
    assert "-# edited" in result.stdout
    assert template.read_text().endswith("# edited\n")
    assert json.loads(run("export", "-o", "json").stdout)["changes"] == [
        {"path": str(template.relative_to(folder)), "change": "update"}
    ]


def test_export_never_overwrites_a_hand_written_file(run: Run, folder: Path) -> None:
    mine = folder / "overlay/management/argo-workflows/capi-rollout-workflowtemplate.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("kind: WorkflowTemplate\n")
    for flags in ((), ("--check",), ("--diff",)):
        result = run("export", *flags)
        assert result.exit_code == 3
        assert "workflowtemplate.yaml was not generated" in result.stderr
    assert mine.read_text() == "kind: WorkflowTemplate\n"


def test_export_says_what_the_users_kustomization_lacks(run: Run, folder: Path) -> None:
    mine = folder / "overlay/management/argo-workflows/kustomization.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("resources: [argo.yaml]\n")
    result = run("export")
    assert result.exit_code == 0
    assert "kustomization.yaml is yours and lacks:\nresources:\n- capi-rollout-workflowtemplate.yaml\n" in result.stderr
    result = run("export", "--check")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "error: 1 of your kustomizations lack lines" in result.stderr
    (todo,) = json.loads(run("export", "-o", "json").stdout)["kustomizations"]
    assert todo["add"]["resources"] == ["capi-rollout-workflowtemplate.yaml"]
    assert mine.read_text() == "resources: [argo.yaml]\n"
    mine.write_text(": [")
    result = run("export")
    assert (result.exit_code, "not YAML" in result.stderr, "Nothing was written" in result.stderr) == (3, True, True)


def test_a_bad_site_file(run: Run, folder: Path) -> None:
    (folder / "rollout.yaml").write_text("clusters: []\nimagee: {}\n")
    result = run("export")
    assert result.exit_code == 2
    assert "rollout.yaml" in result.stderr
    assert "imagee" in result.stderr
    assert "Traceback" not in result.stderr


# -- rehearse


def test_rehearse_lists_its_scenarios(run: Run) -> None:
    assert "healthy" in run("rehearse").stdout
    names = [row["name"] for row in json.loads(run("rehearse", "-o", "json").stdout)]
    assert run("rehearse", "-o", "name").stdout.split() == names


def test_rehearse_ends_with_the_simulated_runs_code(run: Run) -> None:
    result = run("rehearse", "second-failure", "-o", "json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["exit"] == 3
    assert run("rehearse", "healthy").exit_code == 0


def test_rehearse_takes_parameters(run: Run) -> None:
    assert run("rehearse", "late-nodes").exit_code == 0
    assert run("rehearse", "late-nodes", "--handover-grace", "0s").exit_code == 3
    result = run("rehearse", "healthy", "--handover-grace", "0")
    assert (result.exit_code, "handoverGrace (--handover-grace)" in result.stderr) == (2, True)


def test_an_unknown_scenario(run: Run) -> None:
    result = run("rehearse", "helthy")
    assert result.exit_code == 2
    assert "did you mean healthy" in result.stderr


# -- plan


def test_plan_on_a_cluster_without_cluster_api(on: Run, api: FakeApi) -> None:
    result = on("plan")
    assert result.exit_code == 78
    assert "no API group cluster.x-k8s.io" in result.stderr
    assert f"context mgmt  {api.url}" in result.stderr
    assert api.posts() == []


def test_debug_shows_where_an_error_comes_from(run: Run) -> None:
    result = run("--debug", "submit")
    assert (result.exit_code, "Traceback" in result.stderr) == (2, True)
    assert "Traceback" not in run("submit").stderr


def test_yaml_is_yaml(run: Run) -> None:
    assert yaml.safe_load(run("rehearse", "-o", "yaml").stdout)[0]["name"] == "healthy"
