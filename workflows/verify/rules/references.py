"""What an object refers to, and whether it is there."""

from collections.abc import Iterator
from dataclasses import dataclass

from guards.kube.access import BOOTSTRAP, CLUSTER, CONTROL_PLANE, MACHINE_DEPLOYMENT, TALOS_CONTROL_PLANE
from guards.naming import CLUSTER_LABEL
from workflows.verify.builds import Build
from workflows.verify.findings import Finding, Level, finding
from workflows.verify.located import Place
from workflows.verify.objects import ANY_NAMESPACE, Object
from workflows.verify.tree import Tree

TEMPLATE = ("spec", "template", "spec")
CONFIG = (*TEMPLATE, "bootstrap", "configRef")
INFRASTRUCTURE = (*TEMPLATE, "infrastructureRef")


@dataclass(frozen=True, slots=True)
class Reference:
    """`of` names, at `place`, an object that must exist."""

    of: Object
    place: Place
    group: str
    kind: str
    namespace: str
    name: str

    def means(self, item: Object) -> bool:
        return self.is_kind_of(item) and item.name == self.name and same_namespace(self.namespace, item.namespace)

    def is_kind_of(self, item: Object) -> bool:
        return item.kind == self.kind and item.group == self.group

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def same_namespace(one: str, other: str) -> bool:
    return one == other or ANY_NAMESPACE in (one, other)


def references_of(item: Object) -> Iterator[Reference]:
    if item.is_a(MACHINE_DEPLOYMENT):
        yield from _reference(item, *CONFIG)
        yield from _reference(item, *INFRASTRUCTURE)
        yield from _cluster_of(item)
    elif item.is_a(TALOS_CONTROL_PLANE):
        yield from _reference(item, "spec", "infrastructureTemplate")
        yield from _cluster_of(item)
    elif item.is_a(CLUSTER):
        yield from _reference(item, "spec", "controlPlaneRef")
        yield from _reference(item, "spec", "infrastructureRef")


def cluster_of(item: Object) -> str:
    """Name of the Cluster an object belongs to; "" when it does not say."""
    return item.root.text("spec", "clusterName") or item.label(CLUSTER_LABEL)


def _cluster_of(item: Object) -> Iterator[Reference]:
    """Every place that names a Cluster, one for each name."""
    seen = {""}
    for path in (("spec", "clusterName"), (*TEMPLATE, "clusterName"), ("metadata", "labels", CLUSTER_LABEL)):
        if (name := item.root.text(*path)) not in seen:
            seen.add(name)
            yield Reference(item, item.place(*path), CLUSTER.group, CLUSTER.name, item.namespace, name)


def _reference(item: Object, *path: str) -> Iterator[Reference]:
    """An ObjectReference (v1beta1) or a ContractVersionedObjectReference (v1beta2)."""
    node = item.root.at(*path)
    if node is not None:
        group = node.text("apiGroup") or node.text("apiVersion").rpartition("/")[0]
        namespace = node.text("namespace") or item.namespace
        yield Reference(item, item.place(*path, "name"), group, node.text("kind"), namespace, node.text("name"))


def references(tree: Tree) -> Iterator[Finding]:
    for build, item in tree.applied:
        for reference in references_of(item):
            if _target(tree, build, reference) is None:
                yield _dangling(tree, reference)


def _target(tree: Tree, build: Build, reference: Reference) -> Object | None:
    """In the same build, or in any other one: a tree may be applied in parts."""
    own = (item for item in build.objects if reference.means(item))
    others = (item for _, item in tree.applied if reference.means(item))
    return next(own, None) or next(others, None)


def _dangling(tree: Tree, reference: Reference) -> Finding:
    there = sorted({str(item) for _, item in tree.applied if reference.is_kind_of(item)})
    if there or reference.group in (BOOTSTRAP, CONTROL_PLANE):
        seen = f"the tree has {', '.join(there[:4])}{' …' if len(there) > 4 else ''}" if there else "the tree has none"
        return finding("reference", reference.of, reference.place, f"refers to {reference}, which must exist; {seen}")
    group = f".{reference.group}" if reference.group else ""
    return finding(
        "reference",
        reference.of,
        reference.place,
        f"refers to {reference}, which cannot be checked: no {reference.kind} is in this tree",
        next=f"kubectl -n {reference.namespace or 'NAMESPACE'} get {reference.kind.lower()}{group} {reference.name}",
        level=Level.WARNING,
    )
