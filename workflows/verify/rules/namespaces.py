"""`namespace:` of a build, which moves every object, also those that name another namespace on purpose."""

from collections.abc import Iterator

from guards.kube.access import ARGO
from workflows.verify.findings import Finding, finding
from workflows.verify.located import Node, Place
from workflows.verify.transforms import Move, moved
from workflows.verify.tree import Tree

OURS = "capi-rollout"
"""In the name of everything that belongs to the orchestrator, its Roles above all."""


def namespaces(tree: Tree) -> Iterator[Finding]:
    by_target: dict[Place, list[Move]] = {}
    for build in tree.builds:
        forced = [move for target in _forced(tree, build.folder) for move in moved(build.objects, target)[1]]
        for move in (*build.moves, *forced):
            if move.item.judged or OURS in move.item.name:
                by_target.setdefault(move.to.place, []).append(move)
    for moves in by_target.values():
        yield _finding(moves[0].to, list(dict.fromkeys(str(move.item) for move in moves)))


def _forced(tree: Tree, folder: str) -> Iterator[Node]:
    """Namespaces that Flux, or an Application of Argo CD with this path, sets on everything in the folder."""
    if flux := tree.flux.get(folder):
        yield from filter(None, [flux.root.at("spec", "targetNamespace")])
    for item in tree.written:
        path = item.root.text("spec", "source", "path").strip("/")
        target = item.root.at("spec", "source", "kustomize", "namespace")
        if item.kind == "Application" and item.group == ARGO and target and f"/{folder}".endswith(f"/{path}"):
            yield target


def _finding(target: Node, names: list[str]) -> Finding:
    listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    text = (
        f"`{target.value}` is forced on {listed}, must not be: permissions and references would point to another "
        "namespace; write metadata.namespace into each object instead"
    )
    return finding("namespace", target.place.path, target.place, text)
