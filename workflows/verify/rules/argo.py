"""The orchestrator's own objects, as people keep them: the lock, and what starts a run."""

import json
from collections.abc import Iterator

from guards.kube.access import MACHINE_DEPLOYMENT, WORKFLOW_TEMPLATE_KIND
from guards.naming import WORKFLOW_TEMPLATE
from workflows.verify.findings import Finding, Level, finding
from workflows.verify.located import Node
from workflows.verify.objects import EVENT_SOURCE, SENSOR, Object
from workflows.verify.tree import Tree

EXPORT = "python -m workflows export"
LOCK = ("spec", "synchronization", "mutexes")
OLD_LOCK = ("spec", "synchronization", "mutex")
OLD_EVENT = "md-upsert"
NAMES_THE_CLUSTER = ("workflow.parameters.clusterNamespace", "workflow.parameters.clusterName}")


def lock(tree: Tree) -> Iterator[Finding]:
    for _, item in tree.applied:
        if item.is_a(WORKFLOW_TEMPLATE_KIND) and WORKFLOW_TEMPLATE in item.name:
            yield from _lock(item)


def _lock(item: Object) -> Iterator[Finding]:
    locks = item.root.items(*LOCK)
    if item.root.at(*OLD_LOCK):
        text = "the lock is in `mutex`, which Argo Workflows 4 ignores, must be in `mutexes`"
        yield finding("lock", item, item.place(*OLD_LOCK), text, next=EXPORT)
    elif not locks:
        text = "has no synchronization.mutexes, must have one: two runs could roll one cluster at the same time"
        yield finding("lock", item, item.place(*LOCK), text, next=EXPORT)
    elif not any(_per_cluster(each) for each in locks):
        text = f"the lock's name is {locks[0].text('name')!r}, must hold clusterNamespace and clusterName of the run"
        yield finding("lock", item, item.place(*LOCK, 0, "name"), text, next=EXPORT)
    elif not any(each.text("namespace") for each in locks):
        text = "the lock has no namespace, should have: runs in two namespaces would not share it"
        yield finding("lock", item, item.place(*LOCK, 0), text, next=EXPORT, level=Level.WARNING)


def _per_cluster(entry: Node) -> bool:
    return all(part in entry.text("name").replace(" ", "") for part in NAMES_THE_CLUSTER)


def md_upsert(tree: Tree) -> Iterator[Finding]:
    """A run is started by a change of the TalosControlPlane only."""
    why = "runs are started by the TalosControlPlane only; a change of a MachineDeployment is rolled by hand"
    sources = [item for _, item in tree.applied if item.is_a(EVENT_SOURCE)]
    for item in sources:
        if found := item.root.at("spec", "resource", OLD_EVENT):
            yield finding("md-upsert", item, found.place, f"has the event {OLD_EVENT}, must not: {why}", next=EXPORT)
    for _, item in tree.applied:
        if item.is_a(SENSOR) and f'"{WORKFLOW_TEMPLATE}"' in json.dumps(item.plain, default=str):
            for entry in item.root.items("spec", "dependencies"):
                if entry.text("eventName") == OLD_EVENT or _watches_workers(entry, sources):
                    text = f"depends on the event {entry.text('eventName')}, must not: {why}"
                    yield finding("md-upsert", item, entry.place, text, next=EXPORT)


def _watches_workers(dependency: Node, sources: list[Object]) -> bool:
    return any(
        source.root.text("spec", "resource", dependency.text("eventName"), "resource") == MACHINE_DEPLOYMENT.plural
        for source in sources
        if source.name == dependency.text("eventSourceName")
    )
