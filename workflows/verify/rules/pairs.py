"""What must be applied before what, and what is applied with what."""

from collections.abc import Callable, Iterator

from guards.kube.access import CLUSTER, MACHINE_DEPLOYMENT, TALOS_CONFIG_TEMPLATE, TALOS_CONTROL_PLANE
from workflows.manifests import SYNC_WAVE
from workflows.verify.builds import Build
from workflows.verify.located import Node
from workflows.verify.objects import Object
from workflows.verify.rules.references import cluster_of, references_of, same_namespace
from workflows.verify.tree import Tree

Applied = tuple[Build, Object]
"""An object, and the build that applies it."""


def pairs(tree: Tree) -> Iterator[tuple[Applied, Applied]]:
    """(first, then): a TalosConfigTemplate before its MachineDeployments, these before their TalosControlPlane."""
    deployments = [each for each in tree.applied if each[1].is_a(MACHINE_DEPLOYMENT)]
    for build, item in deployments:
        for reference in references_of(item):
            for other in _nearest(build, reference.means, tree):
                if other[1].is_a(TALOS_CONFIG_TEMPLATE):
                    yield other, (build, item)
    for build, item in tree.applied:
        if item.is_a(TALOS_CONTROL_PLANE):
            cluster = _cluster_of_control_plane(tree, item)
            mine = [each for each in deployments if _belongs(each[1], item.namespace, cluster)]
            own = [each for each in mine if each[0] is build]
            yield from ((each, (build, item)) for each in own or mine)


def _nearest(build: Build, means: Callable[[Object], bool], tree: Tree) -> list[Applied]:
    found = [each for each in tree.applied if means(each[1])]
    return [each for each in found if each[0] is build] or found[:1]


def _cluster_of_control_plane(tree: Tree, item: Object) -> str:
    """By its label, or by the Cluster that refers to it; "" when nothing says it."""
    owners = (
        owner.name
        for _, owner in tree.applied
        for reference in references_of(owner)
        if owner.is_a(CLUSTER) and reference.means(item)
    )
    return cluster_of(item) or next(owners, "")


def _belongs(deployment: Object, namespace: str, cluster: str) -> bool:
    """Unknown is not another one: then the order is checked."""
    own = cluster_of(deployment)
    return same_namespace(deployment.namespace, namespace) and (own == cluster or "" in (own, cluster))


def wave(item: Object) -> int | None:
    """Argo CD's sync wave; 0 when absent, None when it is no number."""
    written = item.annotation(SYNC_WAVE)
    return number(written) if written else 0


def number(written: Node) -> int | None:
    """An annotation that is a whole number; annotations are text, so it has to be in quotes."""
    try:
        return int(written.value) if isinstance(written.value, str) else None
    except ValueError:
        return None


def depends(tree: Tree, item: Object, other: Object) -> bool:
    """Whether a Flux Kustomization waits for another one, directly or not."""
    seen: set[str] = set()
    ahead = [item]
    while ahead:
        names = {entry.text("name") for entry in ahead.pop().root.items("spec", "dependsOn")} - seen
        seen |= names
        ahead += [each for each in tree.flux.values() if each.name in names]
    return other.name in seen
