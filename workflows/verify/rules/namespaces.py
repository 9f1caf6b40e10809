"""`namespace:` of a build, which moves every object, also those that name another namespace on purpose."""

from collections.abc import Iterator

from workflows.verify.findings import Finding, finding
from workflows.verify.located import Node
from workflows.verify.objects import Object
from workflows.verify.transforms import moved
from workflows.verify.tree import Tree

ARGO_CD = "argoproj.io"


def namespaces(tree: Tree) -> Iterator[Finding]:
    for build in tree.builds:
        for move in build.moves:
            yield _finding(move.to, [move.item])
        if (flux := tree.flux.get(build.folder)) and (target := flux.root.at("spec", "targetNamespace")):
            if found := [move.item for move in moved(build.objects, target)[1]]:
                yield _finding(target, found)
    yield from _argo_cd(tree)


def _argo_cd(tree: Tree) -> Iterator[Finding]:
    """An Application that sets the namespace of everything in the build that its path names."""
    for item in tree.written:
        source = ("spec", "source")
        target = item.root.at(*source, "kustomize", "namespace")
        path = item.root.text(*source, "path").strip("/")
        if target is None or item.kind != "Application" or item.group != ARGO_CD:
            continue
        for build in tree.builds:
            if f"/{build.folder}".endswith(f"/{path}"):
                if found := [move.item for move in moved(build.objects, target)[1]]:
                    yield _finding(target, found)


def _finding(target: Node, items: list[Object]) -> Finding:
    names = ", ".join(str(item) for item in items[:3]) + (f" and {len(items) - 3} more" if len(items) > 3 else "")
    text = (
        f"`{target.value}` is forced on {names}, must not be: permissions and references would point to another "
        "namespace; write metadata.namespace into each object instead"
    )
    return finding("namespace", target.place.path, target.place, text)
