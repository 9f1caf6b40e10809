"""The automatic trigger: one TalosControlPlane generation starts one Workflow, and nothing else starts any.

The EventSource reports additions too: after a restart Argo Events replays every object as added, and what changed in
between would be lost otherwise. Repeated news is cheap, because the Workflow's name is made of the TalosControlPlane's
uid and generation: the second one is AlreadyExists.
"""

from guards.kube.access import TALOS_CONTROL_PLANE
from guards.naming import CLUSTER_LABEL, WORKFLOW_TEMPLATE
from workflows.manifests import EVENT_SOURCE, SENSOR, SYNC_WAVE, Manifest, manifest, metadata
from workflows.site import Site

NAME = "capi-rollout"
EVENT = "tcp-upsert"

ONLY_NEW_GENERATIONS = f"""\
local label = "{CLUSTER_LABEL}"
local new = event.body.metadata
if new.deletionTimestamp ~= nil then return false end
if new.labels == nil or new.labels[label] == nil then return false end
local old = event.oldBody
if old == nil then return true end
if old.metadata.labels == nil or old.metadata.labels[label] == nil then return true end
return new.generation ~= old.metadata.generation
"""
"""Lua. Status updates do not move the generation; a deletion does, and is no reason to roll."""

WORKFLOW_NAME = (
    'capi-{{ .Input.body.metadata.name | trunc 30 | trimSuffix "-" }}'
    "-{{ .Input.body.metadata.uid | trunc 8 }}"
    "-g{{ .Input.body.metadata.generation | int64 }}"
)
"""The Sprig twin of guards.naming.triggered_workflow; int64, or Go prints 1.234567e+06."""

ARGUMENTS = {
    "clusterName": "body.metadata.labels." + CLUSTER_LABEL.replace(".", r"\."),
    "clusterNamespace": "body.metadata.namespace",
    "tcpGeneration": "body.metadata.generation",
}
"""Argument of the run -> where the event holds it. The Sensor fills them in by position."""


def event_source(site: Site) -> Manifest:
    """Watches the TalosControlPlanes of every namespace that holds Clusters."""
    return manifest(
        "argoproj.io/v1alpha1",
        "EventSource",
        # After the Sensor: it never sees what was published before it subscribed.
        metadata(NAME, site.argo.namespace, annotations={SYNC_WAVE: "1"}),
        spec={
            "eventBusName": site.events.event_bus,
            "replicas": 1,
            "template": {"serviceAccountName": EVENT_SOURCE},
            "resource": {event: _watched(namespace) for event, namespace in _events(site).items()},
        },
    )


def sensor(site: Site) -> Manifest:
    """Creates a Workflow for every new generation, with nothing but its name and three arguments."""
    events = _events(site)
    return manifest(
        "argoproj.io/v1alpha1",
        "Sensor",
        metadata(NAME, site.argo.namespace, annotations={SYNC_WAVE: "0"}),
        spec={
            "eventBusName": site.events.event_bus,
            "replicas": 1,
            "template": {"serviceAccountName": SENSOR},
            "dependencies": [_dependency(event) for event in events],
            "triggers": [_trigger(site, event) for event in events],
        },
    )


def _events(site: Site) -> dict[str, str]:
    """Event name -> namespace. One event per namespace: watching all at once would need a ClusterRole."""
    if len(site.namespaces) == 1:
        return {EVENT: site.namespaces[0]}
    return {f"{EVENT}-{namespace}": namespace for namespace in site.namespaces}


def _watched(namespace: str) -> Manifest:
    # No filter.afterStart: it drops the replay, and every server-side apply of Argo CD.
    return {
        "namespace": namespace,
        "group": TALOS_CONTROL_PLANE.group,
        "version": TALOS_CONTROL_PLANE.versions[0],
        "resource": TALOS_CONTROL_PLANE.plural,
        "eventTypes": ["ADD", "UPDATE"],
    }


def _dependency(event: str) -> Manifest:
    return {
        "name": event,
        "eventSourceName": NAME,
        "eventName": event,
        "filters": {"script": ONLY_NEW_GENERATIONS},
    }


def _trigger(site: Site, event: str) -> Manifest:
    return {
        "atLeastOnce": True,  # without it Argo Events ignores the retryStrategy
        "retryStrategy": {"steps": 3, "duration": "2s", "factor": 2},
        "template": {
            "name": f"submit-{event}",
            "conditions": event,
            "k8s": {
                "operation": "create",
                "source": {"resource": _workflow(site)},
                "parameters": _fills(event),
            },
        },
    }


def _fills(event: str) -> list[Manifest]:
    """What the event puts where in the Workflow. Arguments are found by their position, as Argo Events wants it."""
    name: Manifest = {"src": {"dependencyName": event, "dataTemplate": WORKFLOW_NAME}, "dest": "metadata.name"}
    arguments = (
        {"src": {"dependencyName": event, "dataKey": key}, "dest": f"spec.arguments.parameters.{place}.value"}
        for place, key in enumerate(ARGUMENTS.values())
    )
    return [name, *arguments]


def _workflow(site: Site) -> Manifest:
    """Only what `templateReferencing: Strict` lets a submitter set."""
    return manifest(
        "argoproj.io/v1alpha1",
        "Workflow",
        {"name": "set-by-the-sensor", "namespace": site.argo.namespace},
        spec={
            "workflowTemplateRef": {"name": WORKFLOW_TEMPLATE},
            "arguments": {"parameters": [{"name": name, "value": ""} for name in ARGUMENTS]},
        },
    )
