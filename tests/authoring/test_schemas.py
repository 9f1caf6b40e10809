"""Every exported object against the schemas of those who read it. Unknown keys, which Argo would drop, are refused."""

import copy
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from workflows.export import export

Schema = dict[str, Any]
GoModule = Callable[[str], Path]

TEMPLATE = "argo-workflows/capi-rollout-workflowtemplate.yaml"
CRON = "capi-rollout/cron-workflow-capi-rollout.yaml"
BACKSTOP = "argo-workflows/capi-rollout-backstop-workflowtemplate.yaml"
V1ALPHA1 = "io.argoproj.workflow.v1alpha1"

ARGO_4 = "github.com/argoproj/argo-workflows/v4@v4.0.5"
"""The newest 4.x of the module proxy; the test cluster runs 3.7."""


def strict(node: Any) -> Any:
    """The schema with `additionalProperties: false` wherever properties are listed."""
    if isinstance(node, list):
        return [strict(value) for value in node]
    if not isinstance(node, dict):
        return node
    closed = {key: strict(value) for key, value in node.items()}
    if "properties" in closed and not closed.get("x-kubernetes-preserve-unknown-fields"):
        closed.setdefault("additionalProperties", False)
    return closed


def problems(document: Any, schema: Schema) -> list[str]:
    found = Draft202012Validator(schema).iter_errors(document)
    return [f"{error.json_path}: {error.message}" for error in found]


@pytest.fixture(scope="session")
def definitions(go_module: GoModule) -> Callable[[str, str], Schema]:
    cache: dict[str, Schema] = {}

    def definition(module: str, name: str) -> Schema:
        if module not in cache:
            path = go_module(module) / "api/jsonschema/schema.json"
            cache[module] = strict(json.loads(path.read_text())["definitions"])
        return {"$ref": f"#/definitions/{name}", "definitions": cache[module]}

    return definition


@pytest.fixture(scope="session", params=["3.7", "4.x"])
def argo_module(request: pytest.FixtureRequest, pins: dict[str, str]) -> str:
    return ARGO_4 if request.param == "4.x" else f"github.com/argoproj/argo-workflows/v3@{pins['ARGO_WF_VERSION']}"


@pytest.fixture(scope="session")
def workflow_template(argo_module: str, definitions: Callable[[str, str], Schema]) -> Schema:
    return definitions(argo_module, f"{V1ALPHA1}.WorkflowTemplate")


def test_the_template(files: Any, rich_files: Any, workflow_template: Schema) -> None:
    assert problems(files[TEMPLATE][0], workflow_template) == []
    assert problems(rich_files[TEMPLATE][0], workflow_template) == []
    assert problems(rich_files[BACKSTOP][0], workflow_template) == []


def test_the_cron_workflow(rich_files: Any, argo_module: str, definitions: Callable[[str, str], Schema]) -> None:
    (cron,) = rich_files[CRON]

    assert problems(cron, definitions(argo_module, f"{V1ALPHA1}.CronWorkflow")) == []


@pytest.mark.parametrize("which", ["site", "rich_site"])
def test_argo_finds_nothing_to_complain_about(
    which: str, request: pytest.FixtureRequest, tool: Callable[[str], str], tmp_path: Path
) -> None:
    """References to templates, names and expressions, which no schema knows."""
    export(request.getfixturevalue(which), tmp_path)
    file = tmp_path / "overlay/management" / TEMPLATE

    lint = [tool("argo"), "lint", "--offline", "--strict", "--no-color", "--kinds", "workflowtemplates", str(file)]
    done = subprocess.run(lint, capture_output=True, text=True)

    assert (done.returncode, "no linting errors found" in done.stdout) == (0, True), done.stdout + done.stderr
    file.write_text(file.read_text().replace("template: workers", "template: wrokers"))
    assert "wrokers" in subprocess.run(lint, capture_output=True, text=True).stdout


def test_argo_finds_nothing_to_complain_about_in_the_backstop(
    rich_site: Any, tool: Callable[[str], str], tmp_path: Path
) -> None:
    export(rich_site, tmp_path)
    cron, template = (tmp_path / "overlay/management" / name for name in (CRON, BACKSTOP))

    lint = [tool("argo"), "lint", "--offline", "--strict", "--no-color", str(cron), str(template)]
    done = subprocess.run(lint, capture_output=True, text=True)

    assert (done.returncode, "no linting errors found" in done.stdout) == (0, True), done.stdout + done.stderr
    cron.write_text(cron.read_text().replace("name: capi-rollout-backstop", "name: capi-rollout-backtsop"))
    assert subprocess.run(lint, capture_output=True, text=True).returncode != 0


def test_a_misspelt_key_is_found(files: Any, workflow_template: Schema) -> None:
    document = copy.deepcopy(files[TEMPLATE][0])
    document["spec"]["synchronisation"] = document["spec"].pop("synchronization")

    assert [text for text in problems(document, workflow_template) if "synchronisation" in text]


def test_the_singular_mutex_is_found_for_argo_4(files: Any, definitions: Callable[[str, str], Schema]) -> None:
    document = copy.deepcopy(files[TEMPLATE][0])
    lock = document["spec"]["synchronization"]
    lock["mutex"] = lock.pop("mutexes")[0]

    assert [text for text in problems(document, definitions(ARGO_4, f"{V1ALPHA1}.WorkflowTemplate")) if "mutex" in text]


FILES = {"EventSource": "event-source", "Sensor": "sensor", "EventBus": "event-bus"}


@pytest.mark.parametrize("kind", FILES)
def test_the_trigger(
    kind: str, files: Any, rich_files: Any, definitions: Callable[[str, str], Schema], pins: dict[str, str]
) -> None:
    module = f"github.com/argoproj/argo-events@{pins['ARGO_EVENTS_VERSION']}"
    schema = definitions(module, f"io.argoproj.events.v1alpha1.{kind}")
    name = f"capi-rollout/{FILES[kind]}-capi-rollout.yaml"

    exported = [*files.get(name, []), *rich_files[name]]
    assert {document["kind"] for document in exported} == {kind}
    assert [problem for document in exported for problem in problems(document, schema)] == []


def test_the_triggers_workflow(files: Any, definitions: Callable[[str, str], Schema]) -> None:
    """To Argo Events it is any object; to Argo Workflows it is not."""
    sensor = files["capi-rollout/sensor-capi-rollout.yaml"][0]
    resource = sensor["spec"]["triggers"][0]["template"]["k8s"]["source"]["resource"]

    assert problems(resource, definitions(ARGO_4, f"{V1ALPHA1}.Workflow")) == []


CRDS = {
    "talos-config-template.yaml": (
        "github.com/siderolabs/cluster-api-bootstrap-provider-talos@{CABPT_VERSION}",
        "config/crd/bases/bootstrap.cluster.x-k8s.io_talosconfigtemplates.yaml",
    ),
    "machine-deployment.yaml": (
        "sigs.k8s.io/cluster-api@{CAPI_VERSION}",
        "core/config/crd/bases/cluster.x-k8s.io_machinedeployments.yaml",
    ),
    "talos-control-plane.yaml": (
        "github.com/siderolabs/cluster-api-control-plane-provider-talos@{CACPPT_VERSION}",
        "config/crd/bases/controlplane.cluster.x-k8s.io_taloscontrolplanes.yaml",
    ),
}


def versions(crd: dict[str, Any]) -> Iterator[tuple[str, Schema]]:
    """apiVersion -> strict schema; what every object has is left out of CRDs."""
    for version in crd["spec"]["versions"]:
        schema = version["schema"]["openAPIV3Schema"]
        schema["properties"]["metadata"] = {"type": "object"}
        for node in integers_or_strings(schema):
            node.pop("anyOf", None)
        yield f"{crd['spec']['group']}/{version['name']}", strict(schema)


def integers_or_strings(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if node.get("x-kubernetes-int-or-string"):
            yield node
        node = list(node.values())
    for value in node if isinstance(node, list) else ():
        yield from integers_or_strings(value)


@pytest.mark.parametrize("name", CRDS)
def test_the_cluster(name: str, files: Any, go_module: GoModule, pins: dict[str, str]) -> None:
    module, path = CRDS[name]
    schemas = dict(versions(yaml.safe_load((go_module(module.format(**pins)) / path).read_text())))

    for document in files[f"homelab/{name}"]:
        assert problems(document, schemas[document["apiVersion"]]) == []
        assert [text for text in problems(document | {"spce": {}}, schemas[document["apiVersion"]]) if "spce" in text]


def test_the_cluster_that_is_written_by_hand(repository: Path, go_module: GoModule, pins: dict[str, str]) -> None:
    """Sidero's own kinds are left out: its module cannot be had from the Go proxy."""
    path = go_module("sigs.k8s.io/cluster-api@{CAPI_VERSION}".format(**pins))
    crd = yaml.safe_load((path / "core/config/crd/bases/cluster.x-k8s.io_clusters.yaml").read_text())
    written = yaml.safe_load_all((repository / "overlay/management/homelab/cluster.yaml").read_text())
    (cluster,) = [document for document in written if document["kind"] == "Cluster"]

    schema = dict(versions(crd))[cluster["apiVersion"]]
    assert problems(cluster, schema) == []
    cluster["spec"]["controlPlaneRef"]["apiVersion"] = "controlplane.cluster.x-k8s.io/v1alpha3"
    assert [text for text in problems(cluster, schema) if "apiVersion" in text], "the old form of a reference"
