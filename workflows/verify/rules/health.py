"""Whether the TalosControlPlane waits for MachineDeployments that, on a Kubernetes minor update, wait for it.

Argo CD applies the next wave when everything in this one is healthy, and its built-in check calls a MachineDeployment
healthy when it is Running. Flux waits where `wait` or `healthChecks` say so.
"""

from collections.abc import Iterator

from guards.kube.access import MACHINE_DEPLOYMENT
from workflows.argocd import HEALTH_KEY, SETTINGS
from workflows.manifests import SYNC_WAVE
from workflows.verify.findings import Finding, Level, finding
from workflows.verify.located import Node
from workflows.verify.objects import Object
from workflows.verify.rules.pairs import dependencies, pairs, wave
from workflows.verify.tree import Tree

DEADLOCK = "on a Kubernetes minor update they wait for the control plane, which would wait for them for ever"
PATCH = f"kubectl -n argocd patch configmap {SETTINGS} --patch-file overlay/management/argo-cd/argocd-cm-health.yaml"
WAITING = ("Progressing", "Suspended", "Degraded")
OLD_KEY = "resource.customizations"
OLD_ENTRY = f"{MACHINE_DEPLOYMENT.group}/{MACHINE_DEPLOYMENT.name}:"


def health(tree: Tree) -> Iterator[Finding]:
    for (first, workers), (then, control_plane) in pairs(tree):
        if not workers.is_a(MACHINE_DEPLOYMENT):
            continue
        of_first, of_then = tree.flux.get(first.folder), tree.flux.get(then.folder)
        if of_first is not None and of_then is not None:
            yield from _flux_waits(tree, of_first, of_then)
        elif first is then and (wave(workers) or 0) < (wave(control_plane) or 0):
            yield from _argo_cd_waits(tree, workers)


def _flux_waits(tree: Tree, of_workers: Object, of_control_plane: Object) -> Iterator[Finding]:
    spec = of_workers.root
    if of_workers is of_control_plane or of_workers not in dependencies(tree, of_control_plane):
        return
    checked = any(each.text("kind") == MACHINE_DEPLOYMENT.name for each in spec.items("spec", "healthChecks"))
    if checked or spec.text("spec", "wait") == "True":
        place = of_workers.place("spec", "healthChecks" if checked else "wait")
        text = f"waits until its MachineDeployments are ready, must not: {DEADLOCK}"
        yield finding("health-override", of_workers, place, text)


def settings_of(tree: Tree) -> list[Object]:
    """Argo CD's ConfigMap, as it would be applied or as it is written."""
    found = [*(item for _, item in tree.applied), *tree.written]
    return [item for item in found if item.kind == "ConfigMap" and item.name == SETTINGS]


def _argo_cd_waits(tree: Tree, workers: Object) -> Iterator[Finding]:
    settings = settings_of(tree)
    checks = [each for node in (*(item.root for item in settings), *tree.documents) for each in _checks(node)]
    if checks:
        if any(state in str(checks[0].value) for state in WAITING):
            text = f"the health of MachineDeployments may be {', '.join(WAITING)}, must be Healthy at once: {DEADLOCK}"
            yield finding("health-override", SETTINGS, checks[0].place, text, next=PATCH)
    elif settings:
        text = f"has no {HEALTH_KEY}, must have: Argo CD waits for MachineDeployments, and {DEADLOCK}"
        yield finding("health-override", settings[0], settings[0].place("data"), text, next=PATCH)
    else:
        place = workers.place("metadata", "annotations", SYNC_WAVE)
        text = f"no {SETTINGS} is in this tree, Argo CD must have {HEALTH_KEY} in it: {DEADLOCK}"
        look = f"kubectl -n argocd get configmap {SETTINGS} -o yaml | grep -A6 {HEALTH_KEY}"
        yield finding("health-override", workers, place, text, next=look, level=Level.WARNING)


def _checks(node: Node) -> Iterator[Node]:
    """Argo CD's health check of MachineDeployments wherever it is written: ConfigMap, values of its chart, operator."""
    if isinstance(node.value, list):
        for item in node.value:
            if item.text("kind") == MACHINE_DEPLOYMENT.name and item.text("group") == MACHINE_DEPLOYMENT.group:
                yield from filter(None, [item.at("check")])
            yield from _checks(item)
    elif isinstance(node.value, dict):
        for key, below in node.value.items():
            if key == HEALTH_KEY or (key == OLD_KEY and OLD_ENTRY in str(below.value)):
                yield below
            yield from _checks(below)
