"""The trigger: TalosControlPlanes only, one Workflow per generation, nothing set that a submitter may not set."""

import copy
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from guards.naming import WORKFLOW_TEMPLATE, triggered_workflow
from guards.triggered import triggered_run
from workflows import events
from workflows.trigger import WORKFLOW_NAME

Sensor = dict[str, Any]
WAVE = "argocd.argoproj.io/sync-wave"


@pytest.fixture
def sensor(files: Any) -> Sensor:
    return copy.deepcopy(files["capi-rollout/sensor-capi-rollout.yaml"][0]["spec"])


@pytest.fixture
def event_source(files: Any) -> dict[str, Any]:
    return copy.deepcopy(files["capi-rollout/event-source-capi-rollout.yaml"][0]["spec"])


def sprig(template: str, event: dict[str, Any]) -> str:
    """Go template with the three functions the name uses. Raises KeyError for any other."""
    functions = {
        "trunc": lambda argument, value: str(value)[: int(argument)],
        "trimSuffix": lambda argument, value: str(value).removesuffix(argument.strip('"')),
        "int64": lambda _, value: int(value),
    }

    def expression(match: re.Match[str]) -> str:
        path, *pipeline = (part.strip() for part in match[1].split("|"))
        value: Any = {"Input": event}
        for key in path.strip(".").split("."):
            value = value[key]
        for call in pipeline:
            name, _, argument = call.partition(" ")
            value = functions[name](argument, value)
        return str(value)

    return re.sub(r"\{\{(.*?)\}\}", expression, template)


def event(name: str, uid: str, generation: float) -> dict[str, Any]:
    """As Argo Events reads JSON: every number is a float."""
    return {"body": {"metadata": {"name": name, "uid": uid, "generation": float(generation)}}}


@given(
    name=st.from_regex(r"[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?", fullmatch=True),
    uid=st.uuids().map(str),
    generation=st.integers(min_value=1, max_value=10**9),
)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # a busy machine is no finding
def test_sensor_and_guards_agree_on_the_name(name: str, uid: str, generation: int) -> None:
    made = sprig(WORKFLOW_NAME, event(name, uid, generation))

    assert made == triggered_workflow(name, uid, generation)
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", made)


def test_the_name_of_a_large_generation_is_written_out(sensor: Sensor) -> None:
    (name, *_) = sensor["triggers"][0]["template"]["k8s"]["parameters"]
    uid = "2b1c5f0e-5f0c-4a3e-9a55-3d9d1f6e7a10"

    made = sprig(name["src"]["dataTemplate"], event("homelab-control-plane", uid, 1_234_567))

    assert (name["dest"], made) == ("metadata.name", "capi-homelab-control-plane-2b1c5f0e-g1234567")


def test_arguments_are_filled_by_position(sensor: Sensor, template: dict[str, Any]) -> None:
    k8s = sensor["triggers"][0]["template"]["k8s"]
    arguments = k8s["source"]["resource"]["spec"]["arguments"]["parameters"]
    filled = {parameter["dest"]: parameter["src"]["dataKey"] for parameter in k8s["parameters"][1:]}

    assert {
        argument["name"]: filled[f"spec.arguments.parameters.{place}.value"] for place, argument in enumerate(arguments)
    } == {
        "clusterName": r"body.metadata.labels.cluster\.x-k8s\.io/cluster-name",
        "clusterNamespace": "body.metadata.namespace",
        "tcpGeneration": "body.metadata.generation",
    }
    assert len(filled) == len(arguments)
    parameters = [parameter["name"] for parameter in template["spec"]["arguments"]["parameters"]]
    assert {argument["name"] for argument in arguments} <= set(parameters)


def filled(k8s: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
    """What Argo Events creates: the source, with each value of the event put where `dest` says."""
    workflow = copy.deepcopy(k8s["source"]["resource"])
    for fill in k8s["parameters"]:
        *path, last = fill["dest"].split(".")
        node = workflow
        for key in path:
            node = node[int(key)] if isinstance(node, list) else node[key]
        node[last] = from_event(fill["src"], event)
    return workflow


def from_event(source: dict[str, str], event: dict[str, Any]) -> str:
    if "dataTemplate" in source:
        return sprig(source["dataTemplate"], event)
    value: Any = event
    for key in re.split(r"(?<!\\)\.", source["dataKey"]):
        value = value[key.replace("\\", "")]
    return str(value)


def test_the_sensor_creates_what_the_backstop_creates(sensor: Sensor) -> None:
    metadata = {
        "name": "homelab-control-plane",
        "namespace": "lab",
        "uid": "2b1c5f0e-5f0c-4a3e-9a55-3d9d1f6e7a10",
        "generation": 7,
        "labels": {"cluster.x-k8s.io/cluster-name": "homelab"},
    }

    made = filled(sensor["triggers"][0]["template"]["k8s"], {"body": {"metadata": metadata}})

    name = triggered_workflow("homelab-control-plane", metadata["uid"], 7)
    values = {"clusterName": "homelab", "clusterNamespace": "lab", "tcpGeneration": "7"}
    assert made == triggered_run(name, "argo", values)


def test_the_workflow_sets_only_what_strict_referencing_allows(sensor: Sensor) -> None:
    k8s = sensor["triggers"][0]["template"]["k8s"]
    workflow = k8s["source"]["resource"]

    assert k8s["operation"] == "create"
    assert set(workflow) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(workflow["metadata"]) == {"name", "namespace"}
    assert set(workflow["spec"]) == {"workflowTemplateRef", "arguments"}
    assert workflow["spec"]["workflowTemplateRef"] == {"name": WORKFLOW_TEMPLATE}


def test_only_talos_control_planes_are_watched(event_source: dict[str, Any], sensor: Sensor) -> None:
    watched = event_source["resource"]

    assert watched == {
        "tcp-upsert": {
            "namespace": "default",
            "group": "controlplane.cluster.x-k8s.io",
            "version": "v1alpha3",
            "resource": "taloscontrolplanes",
            "eventTypes": ["ADD", "UPDATE"],
        }
    }
    assert [dependency["eventName"] for dependency in sensor["dependencies"]] == list(watched)


@pytest.mark.parametrize("which", ["files", "rich_files"])
def test_the_older_trigger_is_gone(which: str, request: pytest.FixtureRequest) -> None:
    exported = request.getfixturevalue(which)
    trigger = {name: text for name, text in exported.items() if name.startswith("capi-rollout/")}

    assert len(trigger) == (4 if which == "files" else 6)
    assert "md-upsert" not in repr(trigger)
    assert "machinedeployments" not in repr(trigger["capi-rollout/event-source-capi-rollout.yaml"])


def test_failed_creations_are_tried_again(sensor: Sensor) -> None:
    (trigger,) = sensor["triggers"]

    assert trigger["atLeastOnce"] is True, "without it Argo Events never retries"
    assert trigger["retryStrategy"]["steps"] == 3
    assert "dlqTrigger" not in trigger, "it would fire for every duplicate"


def test_every_namespace_has_its_own_event(rich_files: Any) -> None:
    """One watch of all namespaces would need a ClusterRole."""
    source = rich_files["capi-rollout/event-source-capi-rollout.yaml"][0]["spec"]["resource"]
    sensor = rich_files["capi-rollout/sensor-capi-rollout.yaml"][0]["spec"]
    events = ["tcp-upsert-default", "tcp-upsert-lab"]

    assert {name: watched["namespace"] for name, watched in source.items()} == dict(
        zip(events, ["default", "lab"], strict=True)
    )
    assert [dependency["name"] for dependency in sensor["dependencies"]] == events
    assert [trigger["template"]["conditions"] for trigger in sensor["triggers"]] == events
    for trigger, name in zip(sensor["triggers"], events, strict=True):
        assert {fill["src"]["dependencyName"] for fill in trigger["template"]["k8s"]["parameters"]} == {name}


def test_without_events_there_is_no_trigger(site: Any, parsed: Any) -> None:
    document = site.model_dump(by_alias=True)
    document["events"]["enabled"] = False
    exported = parsed(type(site).model_validate(document))

    assert {name for name in exported if name.startswith("capi-rollout/")} == {
        "capi-rollout/rbac.yaml",
        "capi-rollout/kustomization.yaml",
    }
    assert exported["capi-rollout/kustomization.yaml"][0]["resources"] == ["rbac.yaml"]
    assert "sensor" not in repr(exported["capi-rollout/rbac.yaml"])


def test_a_key_that_argo_events_would_ignore_cannot_be_written(
    event_source: dict[str, Any], sensor: Sensor, rich_files: Any
) -> None:
    bus = rich_files["capi-rollout/event-bus-capi-rollout.yaml"][0]["spec"]
    models = {events.EventSourceSpec: event_source, events.SensorSpec: sensor, events.EventBusSpec: bus}
    for model, spec in models.items():
        assert model.model_validate(spec).model_dump(by_alias=True, exclude_none=True) == spec
        with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
            model.model_validate({**spec, "replica": 1})
    event_source["resource"]["tcp-upsert"]["filter"] = {"afterStart": True}
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        events.EventSourceSpec.model_validate(event_source)


def test_the_bus_is_the_sites_own_unless_it_asks_for_one(files: Any, rich_files: Any) -> None:
    file = "capi-rollout/event-bus-capi-rollout.yaml"
    (bus,) = rich_files[file]

    assert file not in files
    assert (bus["metadata"]["name"], bus["metadata"]["namespace"]) == ("rollouts", "argo")
    assert bus["spec"]["jetstream"] == {
        "version": "2.10.29",
        "replicas": 3,
        "persistence": {"accessMode": "ReadWriteOnce", "volumeSize": "1Gi"},
    }
    for name in ("event-source", "sensor"):
        (user,) = rich_files[f"capi-rollout/{name}-capi-rollout.yaml"]
        assert user["spec"]["eventBusName"] == "rollouts"


def test_bus_then_sensor_then_event_source(rich_files: Any) -> None:
    """A Sensor never sees what was published before it subscribed, and needs a bus to subscribe to."""
    waves = [
        int(rich_files[f"capi-rollout/{name}-capi-rollout.yaml"][0]["metadata"]["annotations"][WAVE])
        for name in ("event-bus", "sensor", "event-source")
    ]

    assert waves == sorted(set(waves))
