"""Whether the TalosControlPlane waits for MachineDeployments that, on a Kubernetes minor update, wait for it.

Argo CD applies the next wave when everything in this one is healthy, and its built-in check calls a MachineDeployment
healthy when it is Running. Flux waits where `wait` or `healthChecks` say so.
"""

from collections.abc import Iterator

from guards.kube.access import MACHINE_DEPLOYMENT
from workflows import argocd
from workflows.manifests import SYNC_WAVE
from workflows.verify.findings import Finding, Level, finding
from workflows.verify.located import Node
from workflows.verify.objects import Object
from workflows.verify.rules.pairs import depends, pairs, wave
from workflows.verify.tree import Tree

_OURS = argocd.health_patch()
SETTINGS: str = _OURS["metadata"]["name"]
HEALTH_KEY: str = next(key for key in _OURS["data"] if key.endswith(f"_{MACHINE_DEPLOYMENT.name}"))
DEADLOCK = "on a Kubernetes minor update they wait for the control plane, which would wait for them for ever"
PATCH = f"kubectl -n argocd patch configmap {SETTINGS} --patch-file overlay/management/argo-cd/argocd-cm-health.yaml"
WAITING = ("Progressing", "Suspended", "Degraded")
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
    if of_workers is of_control_plane or not depends(tree, of_control_plane, of_workers):
        return
    checked = any(each.text("kind") == MACHINE_DEPLOYMENT.name for each in spec.items("spec", "healthChecks"))
    if checked or spec.text("spec", "wait") == "True":
        place = of_workers.place("spec", "healthChecks" if checked else "wait")
        text = f"waits until its MachineDeployments are ready, must not: {DEADLOCK}"
        yield finding("health-override", of_workers, place, text)


def settings(tree: Tree, key: str) -> list[Node]:
    """A setting of Argo CD wherever it is: ConfigMap, patch, values of its chart. What is applied comes first."""
    applied = (item.root for _, item in tree.applied if _is_settings(item))
    return [each for node in (*applied, *tree.documents) for each in _values(node, key)]


def _is_settings(item: Object) -> bool:
    return item.kind == "ConfigMap" and item.name == SETTINGS


def _values(node: Node, key: str) -> Iterator[Node]:
    for name, below in node.value.items() if isinstance(node.value, dict) else enumerate(node.value):
        if name == key:
            yield below
        if isinstance(below.value, dict | list):
            yield from _values(below, key)


def _argo_cd_waits(tree: Tree, workers: Object) -> Iterator[Finding]:
    checks = [*settings(tree, HEALTH_KEY), *_of_old_kind(tree), *_of_operator(tree)]
    written = [item for item in tree.written if _is_settings(item)]
    if checks:
        if any(state in str(checks[0].value) for state in WAITING):
            text = f"the health of MachineDeployments may be {', '.join(WAITING)}, must be Healthy at once: {DEADLOCK}"
            yield finding("health-override", SETTINGS, checks[0].place, text, next=PATCH)
    elif written:
        text = f"has no {HEALTH_KEY}, must have: Argo CD waits for MachineDeployments, and {DEADLOCK}"
        yield finding("health-override", written[0], written[0].place("data"), text, next=PATCH)
    else:
        place = workers.place("metadata", "annotations", SYNC_WAVE)
        text = f"no {SETTINGS} is in this tree, Argo CD must have {HEALTH_KEY} in it: {DEADLOCK}"
        look = f"kubectl -n argocd get configmap {SETTINGS} -o yaml | grep -A6 {HEALTH_KEY}"
        yield finding("health-override", workers, place, text, next=look, level=Level.WARNING)


def _of_old_kind(tree: Tree) -> list[Node]:
    """All overrides in one text, as Argo CD before 2.0 had them and still reads them."""
    return [each for each in settings(tree, "resource.customizations") if OLD_ENTRY in str(each.value)]


def _of_operator(tree: Tree) -> list[Node]:
    """In the ArgoCD object of its operator."""
    entries = (entry for item in tree.written for entry in item.root.items("spec", "resourceHealthChecks"))
    mine = (entry for entry in entries if entry.text("kind") == MACHINE_DEPLOYMENT.name)
    return [check for entry in mine if (check := entry.at("check"))]
