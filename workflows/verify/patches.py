"""Patches of a kustomization, applied as kustomize does to custom resources: lists are replaced, places are kept."""

import re
from typing import Any

from workflows.verify.located import Node
from workflows.verify.objects import Object


class NoFit(Exception):
    """The patch does not fit the object; kustomize would stop here."""


def merged(below: Node, patch: Node) -> Node | None:
    """A strategic merge patch, where no list has merge keys; None when it deletes the value."""
    if not isinstance(patch.value, dict):
        return patch
    directive = patch.text("$patch")
    if directive == "delete":
        return None
    content = {key: node for key, node in patch.value.items() if key != "$patch"}
    if directive == "replace" or not isinstance(below.value, dict):
        return Node(content, patch.place)
    result = dict(below.value)
    for key, node in content.items():
        old = result.pop(key, None)
        new = None if node.value is None else node if old is None else merged(old, node)
        if new is not None:
            result[key] = new
    return Node(result, below.place)


def operated(target: Node, operations: Node) -> Node:
    """A JSON6902 patch. Raises NoFit."""
    for operation in operations.value:
        path = _pointer(operation.text("path"))
        match operation.text("op"):
            case "add" | "replace" as verb if path and "value" in operation.entries():
                target = _set(target, path, operation.value["value"], verb == "add")
            case "remove" if path:
                target = _set(target, path, None, False)
            case "test":
                pass
            case verb:
                raise NoFit(f"operation {verb!r} on {operation.text('path')!r} is not one that verify can follow")
    return target


def _pointer(path: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _set(node: Node, path: list[str], value: Node | None, add: bool) -> Node:
    """A copy of the node with the value at the path; None removes it."""
    key, *rest = path
    if isinstance(node.value, list):
        return _set_item(node, key, rest, value, add)
    if not isinstance(node.value, dict) or (key not in node.value and (rest or not add)):
        raise NoFit(f"there is nothing at {key!r}")
    content = dict(node.value)
    if rest:
        content[key] = _set(content[key], rest, value, add)
    elif value is None:
        del content[key]
    else:
        content[key] = value
    return Node(content, node.place)


def _set_item(node: Node, key: str, rest: list[str], value: Node | None, add: bool) -> Node:
    content = list(node.value)
    index = len(content) if key == "-" else int(key) if key.isdecimal() else -1
    if not 0 <= index < len(content) + (add and not rest):
        raise NoFit(f"there is no item {key!r}")
    if rest:
        content[index] = _set(content[index], rest, value, add)
    elif value is None:
        del content[index]
    elif add:
        content.insert(index, value)
    else:
        content[index] = value
    return Node(content, node.place)


def selects(target: Node, item: Object) -> bool:
    """Whether a `target:` of a patch means this object: anchored regular expressions, absent ones mean any.

    Raises NoFit at a selector that cannot be read.
    """
    fields = {
        "group": item.group,
        "version": item.version,
        "kind": item.kind,
        "name": item.name,
        "namespace": item.namespace,
    }
    return (
        all(_matches(target.text(field), seen) for field, seen in fields.items())
        and _labelled(target.text("labelSelector"), item.root.entries("metadata", "labels"))
        and _labelled(target.text("annotationSelector"), item.root.entries("metadata", "annotations"))
    )


def _matches(pattern: str, seen: str) -> bool:
    try:
        return not pattern or re.fullmatch(pattern, seen) is not None
    except re.error as error:
        raise NoFit(f"target {pattern!r} is no regular expression") from error


def _labelled(selector: str, labels: dict[str, Node]) -> bool:
    for term in filter(None, re.split(r",(?![^(]*\))", selector)):
        match = re.fullmatch(r"\s*([\w./-]+)\s*(?:(==|=|!=)\s*([\w.-]*))?\s*", term)
        if match is None:
            raise NoFit(f"selector {selector!r} is not one that verify can follow")
        key, operator, wanted = match.groups()
        seen: Any = labels[key].value if key in labels else None
        fits = key in labels if operator is None else (str(seen) == wanted) is (operator != "!=")
        if not fits:
            return False
    return True
