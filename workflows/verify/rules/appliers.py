"""What Flux and Argo CD do to a build themselves, on its way into the cluster.

`namespace:` moves every object, also those that name another namespace on purpose; kustomize's own does the same. Their
patches are not followed. Flux's substitutions need no rule: a `${…}` where a number decides is a wrong number.
"""

from collections.abc import Iterator
from shlex import quote

from guards.kube.access import ARGO, CLUSTER
from workflows.verify.findings import Finding, Level, finding, verify_what
from workflows.verify.located import Node, Place
from workflows.verify.objects import Object
from workflows.verify.transforms import Move, moved
from workflows.verify.tree import Tree

OURS = "capi-rollout"
"""In the name of everything that belongs to the orchestrator, its Roles above all."""
CHANGES = ("patches", "patchesStrategicMerge", "patchesJson6902", "components", "namePrefix", "nameSuffix")


def namespaces(tree: Tree) -> Iterator[Finding]:
    by_target: dict[Place, list[Move]] = {}
    for build in tree.builds:
        targets = filter(None, (_namespace(item) for item in _appliers(tree, build.folder)))
        forced = [move for target in targets for move in moved(build.objects, target)[1]]
        for move in (*build.moves, *forced):
            if move.item.judged or OURS in move.item.name:
                by_target.setdefault(move.to.place, []).append(move)
    for moves in by_target.values():
        yield _moved(moves[0].to, list(dict.fromkeys(str(move.item) for move in moves)))


def unread(tree: Tree) -> Iterator[Finding]:
    for build in tree.builds:
        if not any(item.judged for item in build.objects):
            continue
        for item in _appliers(tree, build.folder):
            for key in CHANGES:
                if node := item.root.at(*_options(item), key):
                    text = f"{key} may change what is in {build.folder}, and verify does not follow it"
                    yield finding("unread", item, node.place, text, next=_built(item, build.folder))
    for _, item in tree.applied:
        if item.is_a(CLUSTER) and (node := item.root.at("spec", "topology")):
            text = "its control plane and MachineDeployments are made from a ClusterClass, and are not in this tree"
            look = f"python -m workflows plan --cluster {quote(item.name)}"
            yield finding("unread", item, node.place, text, next=look, level=Level.WARNING)


def _appliers(tree: Tree, folder: str) -> Iterator[Object]:
    """The Flux Kustomization and the Applications of Argo CD that name the folder."""
    yield from filter(None, [tree.flux.get(folder)])
    for item in tree.written:
        if item.kind == "Application" and item.group == ARGO:
            path = item.root.text("spec", "source", "path").strip("/")
            if path and f"/{folder}".endswith(f"/{path}"):
                yield item


def _options(item: Object) -> tuple[str, ...]:
    return ("spec", "source", "kustomize") if item.kind == "Application" else ("spec",)


def _namespace(item: Object) -> Node | None:
    return item.root.at(*_options(item), "namespace" if item.kind == "Application" else "targetNamespace")


def _built(item: Object, folder: str) -> str:
    name = quote(item.name)
    argo_cd, flux = f"argocd app manifests {name}", f"flux build kustomization {name} --path {quote(folder)}"
    build = argo_cd if item.kind == "Application" else flux
    return verify_what(build)


def _moved(target: Node, names: list[str]) -> Finding:
    listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    text = (
        f"`{target.value}` is forced on {listed}, must not be: permissions and references would point to another "
        "namespace; write metadata.namespace into each object instead"
    )
    return finding("namespace", target.place.path, target.place, text)
