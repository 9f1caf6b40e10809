"""Input: four sources, one precedence, every bad value named before anything is touched."""

import json
from pathlib import Path

import pytest

from guards.exits import Exit
from guards.flags import BadInput, read_command, read_parameters
from guards.parameters import KNOBS, Rounds


def file(path: Path, **values: str) -> str:
    path.write_text(json.dumps([{"name": name, "value": value} for name, value in values.items()]))
    return str(path)


def test_flag_beats_file_beats_environment_beats_default(tmp_path: Path) -> None:
    environment = {"CAPI_ROLLOUT_CLUSTER_NAME": "from-env", "CAPI_ROLLOUT_POLL_INTERVAL": "1m"}
    path = file(tmp_path / "p.json", clusterName="from-file", pollInterval="2m")
    command = read_command(["workers", path, "--cluster-name", "from-flag"], environment)
    assert command.parameters.cluster_name == "from-flag"
    assert command.parameters.poll_interval.total_seconds() == 120
    assert read_command(["workers", path], environment).parameters.cluster_name == "from-file"
    assert read_command(["workers"], environment).parameters.poll_interval.total_seconds() == 60
    assert read_command(["workers", "--cluster-name=x"], {}).parameters.poll_interval.total_seconds() == 30


@pytest.mark.parametrize("name", ["", "a" * 64, "A", "a_b", "a.b", "-a", "a\n", "../a", "a,b=c", "{{x}}", "a b", "ä"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(BadInput, match="clusterName"):
        read_parameters({"clusterName": name})


BAD = {
    "scope": ["worker", "ALL", "", "{{x}}"],
    "maxConcurrentUnavailable": ["0", "-1", "1.0", "1e3", "one", "", " 1", "true", "1000000"],
    "pollInterval": ["30", "0s", "", "1d", "-5s", "5 s", "1m30", "1h1h"],
    "controlPlaneTimeout": ["0s", "45"],
    "handoverGrace": ["2", "-1s"],
    "budgetScope": ["both"],
    "maxRemediations": ["-1", "101", "x"],
    "acknowledge": ["yes", "True", "1", ""],
    "tcpGeneration": ["0", "-3", "1.5", "1e3", "seven"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_bad_values_are_named_with_their_flag(name: str, value: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_parameters({"clusterName": "homelab", name: value})
    flag = next(knob.flag for knob in KNOBS if knob.name == name)
    assert caught.value.exit is Exit.USAGE
    assert name in str(caught.value)
    assert flag in str(caught.value)


def test_zero_means_zero() -> None:
    assert read_parameters({"clusterName": "x", "handoverGrace": "0s"}).handover_grace.total_seconds() == 0


def test_every_bad_value_is_told_at_once() -> None:
    with pytest.raises(BadInput, match=r"scope.*pollInterval"):
        read_parameters({"clusterName": "x", "scope": "y", "pollInterval": "30"})


def test_another_contract_is_78_whatever_else_is_wrong() -> None:
    with pytest.raises(BadInput, match="contract '2'") as caught:
        read_parameters({"contract": "2", "clusterName": "?", "new": "1"})
    assert caught.value.exit is Exit.CONTRACT


def test_a_parameter_this_image_does_not_know_is_78() -> None:
    with pytest.raises(BadInput, match="sends new") as caught:
        read_parameters({"clusterName": "x", "new": "1"})
    assert caught.value.exit is Exit.CONTRACT


@pytest.mark.parametrize("text", ["", "{", "{}", "[1]", '[{"name":"a"}]', '[{"name":"a","value":1}]'])
def test_a_parameter_file_of_another_shape(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(BadInput, match=r"p\.json"):
        read_command(["workers", str(tmp_path / "p.json")], {})


def test_a_name_twice_in_the_file(tmp_path: Path) -> None:
    rows = [{"name": "clusterName", "value": "a"}, {"name": "clusterName", "value": "b"}]
    (tmp_path / "p.json").write_text(json.dumps(rows))
    with pytest.raises(BadInput, match="twice"):
        read_command(["workers", str(tmp_path / "p.json")], {})


@pytest.mark.parametrize("argv", [[], ["roll"], ["workers", "--cluster", "x"], ["workers", "--nonsense"]])
def test_wrong_usage(argv: list[str]) -> None:
    with pytest.raises(BadInput, match="--help"):
        read_command(argv, {"CAPI_ROLLOUT_CLUSTER_NAME": "x"})


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        read_command(["--help"], {})
    assert caught.value.code == 0
    assert "examples:" in capsys.readouterr().out


def test_the_backstop_takes_its_own_parameters_only(tmp_path: Path) -> None:
    path = file(tmp_path / "p.json", namespaces="default,lab", workflowNamespace="argo", contract="1")
    pod = {"CAPI_ROLLOUT_NODE_NAME": "node-1", "CAPI_ROLLOUT_CLUSTER_NAME": "x"}

    rounds = read_command(["backstop", path], pod).parameters

    assert isinstance(rounds, Rounds)
    assert (rounds.namespaces, rounds.workflow_namespace) == (("default", "lab"), "argo")
    assert read_command(["backstop", path, "--namespaces", "ops"], {}).parameters.namespaces == ("ops",)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["backstop", "--workflow-namespace", "argo"], "namespaces (--namespaces): is required"),
        (["backstop", "--namespaces", "a,,b", "--workflow-namespace", "argo"], "(--namespaces): '' is not a"),
        (["backstop", "--namespaces", "", "--workflow-namespace", "argo"], "(--namespaces): '' is not a"),
        (["backstop", "--namespaces", "a"], "workflowNamespace (--workflow-namespace): is required"),
        (["backstop", "--scope", "all"], "--scope: no flag of backstop"),
        (["workers", "--cluster-name", "x", "--namespaces", "a"], "--namespaces: no flag of workers"),
    ],
)
def test_flags_that_belong_to_another_verb(argv: list[str], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_command(argv, {})
    assert caught.value.exit is Exit.USAGE
    assert said in str(caught.value)


def test_the_backstop_of_another_release_is_78(tmp_path: Path) -> None:
    path = file(tmp_path / "p.json", namespaces="default", workflowNamespace="argo", contract="2")
    with pytest.raises(BadInput) as caught:
        read_command(["backstop", path], {})
    assert caught.value.exit is Exit.CONTRACT
