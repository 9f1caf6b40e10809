"""What a kustomization does to objects: patch them, move, rename, label, annotate. Objects in, objects out."""

from dataclasses import dataclass

from workflows.verify.located import Node
from workflows.verify.objects import Object
from workflows.verify.patches import NoFit, merged, operated, selects

CLUSTER_SCOPED = {
    "APIService",
    "ClusterIssuer",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "Environment",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "Server",
    "ServerClass",
    "StorageClass",
    "ValidatingWebhookConfiguration",
}


@dataclass(frozen=True, slots=True)
class Move:
    """`namespace:` took an object out of the namespace that its author wrote."""

    item: Object
    to: Node


def patched(items: list[Object], target: Node | None, patch: Node) -> list[Object]:
    """All objects, those that the patch means changed or, by `$patch: delete`, gone. Raises NoFit."""
    operations = isinstance(patch.value, list)
    if not operations and not isinstance(patch.value, dict):
        raise NoFit("it is neither an object nor a list of operations")
    if target is None:
        if operations or not patch.text("metadata", "name"):
            raise NoFit("it names no object, and there is no target")
        if not any(_is_meant(patch, item) for item in items):
            raise NoFit(f"there is no {Object(patch)} to patch")
    result = []
    for item in items:
        if not (selects(target, item) if target else _is_meant(patch, item)):
            result.append(item)
        elif operations:
            result.append(Object(operated(item.root, patch)))
        elif (root := merged(item.root, _without_identity(patch))) is not None:
            result.append(Object(root))
    return result


def _is_meant(patch: Node, item: Object) -> bool:
    wanted = Object(patch)
    return (wanted.group, wanted.kind, wanted.name) == (item.group, item.kind, item.name) and (
        wanted.namespace in ("", item.namespace)
    )


def _without_identity(patch: Node) -> Node:
    """A patch says whom it means by these fields; it does not set them."""
    content = {key: node for key, node in patch.value.items() if key not in ("apiVersion", "kind")}
    if metadata := patch.entries("metadata"):
        kept = {key: node for key, node in metadata.items() if key not in ("name", "namespace")}
        content["metadata"] = Node(kept, patch.value["metadata"].place)
    return Node(content, patch.place)


def moved(items: list[Object], namespace: Node) -> tuple[list[Object], list[Move]]:
    """Every object in the namespace. References inside custom resources stay as they are, as with kustomize."""
    result, moves = [], []
    for item in items:
        if item.kind in CLUSTER_SCOPED:
            result.append(item)
            continue
        if item.namespace not in ("", str(namespace.value)):
            moves.append(Move(item, namespace))
        result.append(_with_metadata(item, "namespace", namespace))
    return result, moves


def renamed(item: Object, prefix: str, suffix: str) -> Object:
    if item.kind in ("Namespace", "CustomResourceDefinition") or not item.name:
        return item
    old = item.root.at("metadata", "name")
    assert old is not None
    return _with_metadata(item, "name", Node(f"{prefix}{old.value}{suffix}", old.place))


def labelled(item: Object, content: Node) -> Object:
    pairs = content.entries("commonLabels")
    for entry in content.items("labels"):
        pairs = pairs | entry.entries("pairs")
    return _with_pairs(item, "labels", pairs)


def annotated(item: Object, content: Node) -> Object:
    return _with_pairs(item, "annotations", content.entries("commonAnnotations"))


def _with_pairs(item: Object, which: str, pairs: dict[str, Node]) -> Object:
    if not pairs:
        return item
    old = item.root.entries("metadata", which)
    return _with_metadata(item, which, Node(old | pairs, item.place("metadata", which)))


def _with_metadata(item: Object, key: str, value: Node) -> Object:
    old = item.root.at("metadata")
    metadata = Node({**(old.value if old else {}), key: value}, old.place if old else item.root.place)
    return Object(Node({**item.root.value, "metadata": metadata}, item.root.place))
