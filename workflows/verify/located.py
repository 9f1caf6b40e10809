"""YAML in which every value knows its file and line. Values are never changed in place: a patch makes new ones."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SCALARS = yaml.constructor.SafeConstructor()
_TIMESTAMP = "tag:yaml.org,2002:timestamp"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    path: str
    line: int
    """From 1."""


@dataclass(frozen=True, slots=True)
class Node:
    """A value. Its place is where its key stands, or its list item, or the document begins."""

    value: Any
    """A scalar, or dict[str, Node], or list[Node]."""
    place: Place
    block: bool = False
    """Text that begins on the line after its key (`|` or `>`)."""

    def at(self, *path: str | int) -> "Node | None":
        """The value at the path; None when absent or null."""
        here, rest = self.nearest(*path)
        return None if rest or here.value is None else here

    def nearest(self, *path: str | int) -> tuple["Node", tuple[str | int, ...]]:
        """The deepest value on the path that exists, and what of the path is left: where an absent field belongs."""
        here = self
        for done, key in enumerate(path):
            below = _child(here.value, key)
            if below is None:
                return here, path[done:]
            here = below
        return here, ()

    def text(self, *path: str | int) -> str:
        """A scalar as text; "" when absent or no scalar."""
        found = self.at(*path)
        return "" if found is None or isinstance(found.value, dict | list) else str(found.value)

    def entries(self, *path: str | int) -> dict[str, "Node"]:
        """A mapping; empty when absent or something else."""
        found = self.at(*path)
        return found.value if found and isinstance(found.value, dict) else {}

    def items(self, *path: str | int) -> list["Node"]:
        """A list; empty when absent or something else."""
        found = self.at(*path)
        return found.value if found and isinstance(found.value, list) else []

    def plain(self) -> Any:
        """Without places, as a YAML library would have read it."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        return [node.plain() for node in self.value] if isinstance(self.value, list) else self.value


def _child(value: Any, key: str | int) -> Node | None:
    if isinstance(value, dict):
        found: Node | None = value.get(key)
        return found
    if isinstance(value, list) and isinstance(key, int) and 0 <= key < len(value):
        item: Node = value[key]
        return item
    return None


class NotYaml(Exception):
    def __init__(self, place: Place, reason: str) -> None:
        super().__init__(reason)
        self.place = place


def documents(text: str, path: str, before: int = 0) -> Iterator[Node]:
    """The documents of a file, empty ones left out. `before`: lines of the file before this text.

    Raises NotYaml at the document that cannot be read; those before it have been given.
    """
    try:
        for root in yaml.compose_all(text, Loader=_LOADER):
            place = Place(path, before + root.start_mark.line + 1)
            node = Node(_value(root, path, before, ()), place)
            if node.value is not None:
                yield node
    except yaml.MarkedYAMLError as error:
        # The end of an open quote or bracket is found far below; what to mend is where it opens.
        opened = error.context_mark if re.search("quoted|flow", error.context or "") else None
        mark = opened or error.problem_mark or error.context_mark
        line = before + (mark.line + 1 if mark else 1)
        raise NotYaml(Place(path, line), " ".join(filter(None, [error.context, error.problem]))) from error
    except yaml.reader.ReaderError as error:
        line = before + text.count("\n", 0, error.position if isinstance(error.position, int) else 0) + 1
        raise NotYaml(Place(path, line), f"{error.reason} (character {error.character!r})") from error


def _value(node: yaml.Node, path: str, before: int, above: tuple[int, ...]) -> Any:
    if id(node) in above:
        raise yaml.constructor.ConstructorError(None, None, "an alias that contains itself", node.start_mark)
    inside = (*above, id(node))
    if isinstance(node, yaml.MappingNode):
        _no_twins(node)
        _SCALARS.flatten_mapping(node)  # `<<`
        return {str(key.value): _node(value, path, before, key.start_mark.line, inside) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_node(item, path, before, item.start_mark.line, inside) for item in node.value]
    if node.tag == _TIMESTAMP:
        return node.value
    try:
        return _SCALARS.construct_object(node)
    except ValueError as error:
        raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error


def _node(node: yaml.Node, path: str, before: int, line: int, above: tuple[int, ...]) -> Node:
    place = Place(path, before + line + 1)
    return Node(_value(node, path, before, above), place, getattr(node, "style", None) in ("|", ">"))


def _no_twins(node: yaml.MappingNode) -> None:
    """YAML libraries take the last of two equal keys without a word; a reader of the file may see the first."""
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a key that is no text", key.start_mark)
        if key.tag != "tag:yaml.org,2002:merge" and key.value in seen:
            raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} is given twice", key.start_mark)
        seen.add(str(key.value))
