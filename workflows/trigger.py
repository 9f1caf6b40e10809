"""The automatic trigger: one TalosControlPlane generation starts one Workflow, and nothing else starts any.

The EventSource reports additions too: after a restart Argo Events replays every object as added, and what changed in
between would be lost otherwise. Repeated news is cheap, because the Workflow's name is made of the TalosControlPlane's
uid and generation: the second one is AlreadyExists.
"""

from guards.kube.access import TALOS_CONTROL_PLANE
from guards.naming import CLUSTER_LABEL
from guards.triggered import ARGUMENTS, triggered_run
from workflows import events
from workflows.manifests import EVENT_SOURCE, SENSOR, SYNC_WAVE, Manifest, metadata
from workflows.site import JetStream, Site

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

KEYS = {
    "clusterName": "body.metadata.labels." + CLUSTER_LABEL.replace(".", r"\."),
    "clusterNamespace": "body.metadata.namespace",
    "tcpGeneration": "body.metadata.generation",
}
"""Argument of the run -> where the event holds it."""


def event_source(site: Site) -> Manifest:
    """Watches the TalosControlPlanes of every namespace that holds Clusters."""
    return events.EventSource(
        # After the Sensor: it never sees what was published before it subscribed.
        metadata=metadata(NAME, site.argo.namespace, annotations={SYNC_WAVE: "1"}),
        spec=events.EventSourceSpec(
            event_bus_name=site.events.event_bus.name,
            template=events.Account(service_account_name=EVENT_SOURCE),
            resource={event: _watched(namespace) for event, namespace in _events(site).items()},
        ),
    ).written()


def sensor(site: Site) -> Manifest:
    """Creates a Workflow for every new generation, with nothing but its name and three arguments."""
    names = _events(site)
    return events.Sensor(
        metadata=metadata(NAME, site.argo.namespace, annotations={SYNC_WAVE: "0"}),
        spec=events.SensorSpec(
            event_bus_name=site.events.event_bus.name,
            template=events.Account(service_account_name=SENSOR),
            dependencies=[_dependency(event) for event in names],
            triggers=[_trigger(site, event) for event in names],
        ),
    ).written()


def event_bus(site: Site, jetstream: JetStream) -> Manifest:
    """The bus between the two, where the site does not bring its own. Argo CD waits for it before the Sensor."""
    volume = events.Persistence(volume_size=jetstream.volume_size) if jetstream.volume_size else None
    return events.EventBus(
        metadata=metadata(site.events.event_bus.name, site.argo.namespace, annotations={SYNC_WAVE: "-1"}),
        spec=events.EventBusSpec(
            jetstream=events.JetStream(version=jetstream.version, replicas=jetstream.replicas, persistence=volume)
        ),
    ).written()


def _events(site: Site) -> dict[str, str]:
    """Event name -> namespace. One event per namespace: watching all at once would need a ClusterRole."""
    if len(site.namespaces) == 1:
        return {EVENT: site.namespaces[0]}
    return {f"{EVENT}-{namespace}": namespace for namespace in site.namespaces}


def _watched(namespace: str) -> events.Watched:
    return events.Watched(
        namespace=namespace,
        group=TALOS_CONTROL_PLANE.group,
        version=TALOS_CONTROL_PLANE.versions[0],
        resource=TALOS_CONTROL_PLANE.plural,
        event_types=["ADD", "UPDATE"],
    )


def _dependency(event: str) -> events.Dependency:
    script = events.Filters(script=ONLY_NEW_GENERATIONS)
    return events.Dependency(name=event, event_source_name=NAME, event_name=event, filters=script)


def _trigger(site: Site, event: str) -> events.Trigger:
    run = triggered_run("set-by-the-sensor", site.argo.namespace, dict.fromkeys(ARGUMENTS, ""))
    return events.Trigger(
        retry_strategy=events.Retry(steps=3, duration="2s", factor=2),
        template=events.TriggerTemplate(
            name=f"submit-{event}",
            conditions=event,
            k8s=events.Creation(source=events.Source(resource=run), parameters=_fills(event)),
        ),
    )


def _fills(event: str) -> list[events.Fill]:
    """What the event puts where in the Workflow. Arguments are found by their position, as Argo Events wants it."""
    name = events.Fill(src=events.Origin(dependency_name=event, data_template=WORKFLOW_NAME), dest="metadata.name")
    arguments = (
        events.Fill(
            src=events.Origin(dependency_name=event, data_key=KEYS[argument]),
            dest=f"spec.arguments.parameters.{place}.value",
        )
        for place, argument in enumerate(ARGUMENTS)
    )
    return [name, *arguments]
