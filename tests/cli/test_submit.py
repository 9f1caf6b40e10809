"""`submit`: what is sent, to which cluster, and every way it can be refused before and after."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Run
from tests.cli.fakeapi import TEMPLATE, WORKFLOWS, FakeApi, kubeconfig, not_found, status


def test_a_workflow_has_only_what_strict_referencing_allows(on: Run, api: FakeApi) -> None:
    result = on("submit", "--scope", "workers", "--workers-timeout=90m", "--acknowledge")
    assert (result.exit_code, result.stdout) == (0, "workflow.argoproj.io/capi-homelab-x7k2p created\n")
    (body,) = api.posts()
    assert body == {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {
            "generateName": "capi-homelab-",
            "namespace": "argo",
            "labels": {
                "capi-rollout/cluster": "homelab",
                "capi-rollout/namespace": "default",
                "capi-rollout/scope": "workers",
            },
        },
        "spec": {
            "workflowTemplateRef": {"name": "capi-rollout-orchestrator"},
            "arguments": {
                "parameters": [
                    {"name": "clusterName", "value": "homelab"},
                    {"name": "clusterNamespace", "value": "default"},
                    {"name": "scope", "value": "workers"},
                    {"name": "workersTimeout", "value": "90m"},
                    {"name": "acknowledge", "value": "true"},
                ]
            },
        },
    }


def test_the_cluster_is_named_before_the_write(on: Run, api: FakeApi) -> None:
    said = on("submit").stderr.splitlines()
    assert said[0] == f"context mgmt  {api.url}"
    assert said[1] == "cluster default/homelab  scope all  Workflow namespace argo"


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_a_client_dry_run_prints_the_workflow_and_contacts_nobody(run: Run, output: str) -> None:
    result = run("submit", "--dry-run=client", "-o", output, "--cluster", "lab", "--cluster-namespace", "x", "-n", "y")
    assert (result.exit_code, result.stderr) == (0, "")
    body = yaml.safe_load(result.stdout) if output == "yaml" else json.loads(result.stdout)
    assert set(body) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(body["spec"]) == {"workflowTemplateRef", "arguments"}
    assert set(body["metadata"]) == {"generateName", "namespace", "labels"}
    assert body["metadata"]["namespace"] == "y"
    assert [row["value"] for row in body["spec"]["arguments"]["parameters"]] == ["lab", "x"]


def test_a_server_dry_run_stores_nothing(on: Run, api: FakeApi) -> None:
    result = on("submit", "--dry-run=server", "-o", "name")
    assert (result.exit_code, result.stdout) == (0, "workflow.argoproj.io/capi-homelab-x7k2p\n")
    (path,) = (path for method, path, _ in api.requests if method == "POST")
    assert "dryRun=All" in path
    assert "fieldValidation=Strict" in path


def test_names_stay_within_argos_limit(run: Run) -> None:
    result = run("submit", "--dry-run=client", "-o", "name", "--cluster", "a" * 39 + "-" + "b" * 23)
    assert result.stdout == f"workflow.argoproj.io/capi-{'a' * 39}-\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--scope", "wokers"], r"scope (--scope): must be one of all, control-plane, workers, not 'wokers'"),
        (["--poll-interval", "30"], "'30' is not a duration with a unit: write 30s or 30m"),
        (["--max-concurrent-unavailable", "0"], "maxConcurrentUnavailable"),
        (["--cluster", "Lab"], "'Lab' is not a Kubernetes name"),
        (["--cluster", "lab\n"], "is not a Kubernetes name"),
        (["--cluster-namespace", "a,b=c"], "'a,b=c' is not a Kubernetes name"),
        (["-n", "../x"], "workflowNamespace"),
        (["--timeout", "3h"], "--timeout needs --wait or --watch"),
        (["--wait", "--timeout", "3"], "'3' is not a duration"),
        (["--wait", "--dry-run=server"], "--dry-run starts no run to wait for"),
        (["--site", "no.yaml"], "no.yaml: cannot be read"),
        (["--kubeconfig", "no"], "--kubeconfig no: no such file"),
        (["--context", "mgnt"], "no context 'mgnt'; did you mean 'mgmt'? Next: kubectl config get-contexts"),
    ],
)
def test_bad_input_is_refused_before_anything_is_touched(on: Run, api: FakeApi, argv: list[str], message: str) -> None:
    result = on("submit", *argv)
    assert result.exit_code == 2, result.stderr
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr
    assert (result.stdout, api.requests) == ("", [])


def test_no_cluster(run: Run) -> None:
    result = run("submit")
    assert result.exit_code == 2
    assert result.stderr == (
        "error: no cluster configured: there is no ~/.kube/config. Next: pass --kubeconfig FILE, or set KUBECONFIG\n"
    )


def test_which_cluster(on: Run, folder: Path) -> None:
    site = yaml.safe_load((folder / "rollout.yaml").read_text())
    lab = site["clusters"][0] | {"name": "lab", "namespace": "labs"}
    twin = lab | {"namespace": "others"}
    for cluster in (lab, twin):
        cluster.pop("overlay", None)
        site["clusters"].append(cluster)
    (folder / "rollout.yaml").write_text(yaml.safe_dump(site))
    result = on("submit")
    assert result.exit_code == 2
    assert "which cluster? The site has homelab, lab, lab. Next: add --cluster homelab" in result.stderr
    result = on("submit", "--cluster", "lab")
    assert result.exit_code == 2
    assert "lab is in the namespaces labs, others. Next: add --cluster-namespace labs" in result.stderr
    (folder / "rollout.yaml").unlink()
    result = on("submit")
    assert result.exit_code == 2
    assert "There is no rollout.yaml here. Next: add --cluster NAME" in result.stderr
    assert on("submit", "--cluster", "lab").exit_code == 0, "a site file is a convenience, not a condition"


def test_the_first_kubeconfig_file_wins(run: Run, api: FakeApi, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The official client would take the last one: another cluster than kubectl talks to."""
    first = kubeconfig(folder / "first", api.url, "mgmt")
    last = kubeconfig(folder / "last", "http://127.0.0.1:1", "work")
    monkeypatch.setenv("KUBECONFIG", f"{first}{os.pathsep}{last}")
    result = run("submit")
    assert (result.exit_code, len(api.posts())) == (0, 1)


def test_a_missing_template(on: Run, api: FakeApi) -> None:
    api.replies["GET", TEMPLATE] = not_found("capi-rollout-orchestrator")
    result = on("submit")
    assert (result.exit_code, api.posts()) == (78, [])
    assert "there is no WorkflowTemplate capi-rollout-orchestrator in namespace argo" in result.stderr
    assert "Next: kubectl apply -k overlay/management/argo-workflows" in result.stderr


def test_a_template_of_another_release(on: Run, api: FakeApi) -> None:
    """Argo would ignore the argument without a word."""
    api.template["spec"] = {"arguments": {"parameters": [{"name": "clusterName"}, {"name": "clusterNamespace"}]}}
    result = on("submit", "--scope", "workers")
    assert (result.exit_code, api.posts()) == (78, [])
    assert "has no parameter scope" in result.stderr
    assert on("submit").exit_code == 0


def test_a_cluster_without_argo(on: Run, api: FakeApi) -> None:
    api.replies["GET", "/apis/argoproj.io"] = not_found("argoproj.io")
    result = on("submit")
    assert result.exit_code == 78
    assert "does not run Argo Workflows" in result.stderr


DENIED = 'workflows.argoproj.io is forbidden: User "jane" cannot create resource "workflows"'


@pytest.mark.parametrize(
    ("request_", "rule"),
    [
        (("POST", WORKFLOWS), "create workflows.argoproj.io"),
        (("GET", TEMPLATE), "get workflowtemplates.argoproj.io"),
    ],
)
def test_the_missing_rule_is_named(on: Run, api: FakeApi, request_: Any, rule: str) -> None:
    api.replies[request_] = status(403, DENIED)
    result = on("submit")
    assert result.exit_code == 77
    assert f"not permitted: {rule} in namespace argo" in result.stderr
    assert DENIED in result.stderr
    assert f"Next: kubectl auth can-i {rule} -n argo" in result.stderr


def test_the_api_server_refuses_the_object(on: Run, api: FakeApi) -> None:
    api.replies["POST", WORKFLOWS] = status(422, "spec.arguments: Invalid value")
    result = on("submit")
    assert (result.exit_code, len(api.posts())) == (2, 1)
    assert "spec.arguments: Invalid value" in result.stderr


def test_an_unreachable_server(run: Run, folder: Path) -> None:
    file = kubeconfig(folder / "config", "http://127.0.0.1:1")
    result = run("submit", "--kubeconfig", str(file))
    assert result.exit_code == 69
    assert "http://127.0.0.1:1" in result.stderr
    assert "refused" in result.stderr
    assert "Next: kubectl --context mgmt version" in result.stderr


def test_a_write_whose_outcome_is_unknown_is_not_repeated(on: Run, api: FakeApi) -> None:
    api.replies["POST", WORKFLOWS] = status(503, "etcdserver: leader changed")
    result = on("submit")
    assert (result.exit_code, len(api.posts())) == (69, 1)
    assert "whether it was done is unknown" in result.stderr
    assert "kubectl -n argo get workflows -l capi-rollout/cluster=homelab" in result.stderr
