"""Strict reading of JSON fields. A wrong type is Malformed, never a guess; an absent field is the caller's business."""

import re
from datetime import UTC, datetime
from typing import Any

from guards.kube.errors import Malformed
from guards.kube.ports import Object

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
MAX_REPLICAS = 10_000


def describe(item: Object) -> str:
    """`Kind namespace/name` for a message, whatever is missing."""
    found = item.get("metadata")
    metadata = found if isinstance(found, dict) else {}
    return f"{item.get('kind', '?')} {metadata.get('namespace', '?')}/{metadata.get('name', '?')}"


def at(item: Object, *path: str) -> Any:
    """The value at the path, None where something on the way is absent or null. Malformed when it is no object."""
    value: Any = item
    for i, key in enumerate(path):
        if value is None:
            return None
        if not isinstance(value, dict):
            raise Malformed(f"{describe(item)}: {'.'.join(path[:i])} is {type(value).__name__}, expected an object")
        value = value.get(key)
    return value


def _typed(item: Object, path: tuple[str, ...], kind: type, name: str) -> Any:
    value = at(item, *path)
    if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        raise Malformed(f"{describe(item)}: {'.'.join(path)} is {str(value)[:80]!r}, expected {name}")
    return value


def text(item: Object, *path: str) -> str:
    """A string; "" when absent."""
    return _typed(item, path, str, "a string") or ""


def required(item: Object, *path: str) -> str:
    """A non-empty string."""
    value = text(item, *path)
    if not value:
        raise Malformed(f"{describe(item)}: {'.'.join(path)} is missing")
    return value


def flag(item: Object, *path: str) -> bool:
    """A boolean; False when absent."""
    return bool(_typed(item, path, bool, "true or false"))


def whole(item: Object, *path: str) -> int | None:
    """A whole number of any size; None when absent."""
    value: int | None = _typed(item, path, int, "a whole number")
    return value


def replicas(item: Object, *path: str) -> int:
    """A number of replicas; 1 when absent, as every one of these APIs defaults it."""
    value = whole(item, *path)
    if value is None:
        return 1
    if not 0 <= value <= MAX_REPLICAS:
        raise Malformed(f"{describe(item)}: {'.'.join(path)} is {value}, expected 0 to {MAX_REPLICAS}")
    return value


def int_or_text(item: Object, *path: str) -> int | str | None:
    """IntOrString as written; None when absent."""
    value = at(item, *path)
    if value is None or isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise Malformed(f"{describe(item)}: {'.'.join(path)} is {str(value)[:80]!r}, expected a number or a percentage")


def items(item: Object, *path: str) -> list[Object]:
    """A list of objects; empty when absent."""
    value = at(item, *path)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise Malformed(f"{describe(item)}: {'.'.join(path)} is no list of objects")
    return value


def mapping(item: Object, *path: str) -> Object:
    """An object with any keys; {} when absent."""
    return _typed(item, path, dict, "an object") or {}


def instant(item: Object, *path: str) -> datetime | None:
    """An RFC 3339 instant in UTC; None when absent."""
    value = text(item, *path)
    if not value:
        return None
    if not _TIME.fullmatch(value):
        raise Malformed(f"{describe(item)}: {'.'.join(path)} is {value[:40]!r}, expected an RFC 3339 instant")
    return datetime.fromisoformat(value).astimezone(UTC)


def label(item: Object, key: str) -> str | None:
    """A label's value; None when the object does not carry it."""
    return string_map(item, "labels").get(key)


def annotation(item: Object, key: str) -> str | None:
    """An annotation's value; None when the object does not carry it."""
    return string_map(item, "annotations").get(key)


def string_map(item: Object, which: str) -> dict[str, str]:
    """metadata.labels or metadata.annotations; {} when absent."""
    return mapping(item, "metadata", which)


def controller(item: Object) -> Object | None:
    """The owner reference with controller: true; Malformed when there are two."""
    owners = [owner for owner in items(item, "metadata", "ownerReferences") if owner.get("controller") is True]
    if len(owners) > 1:
        raise Malformed(f"{describe(item)}: has {len(owners)} controllers, expected at most one")
    return owners[0] if owners else None
