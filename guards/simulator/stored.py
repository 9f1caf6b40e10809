"""Objects that clients write themselves (Lease, Event): admitted as the API server does, then kept as they are."""

import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from guards.kube.access import Kind
from guards.kube.errors import Conflict, Invalid
from guards.kube.ports import Object
from guards.simulator.records import Record
from guards.simulator.wire import instant

if TYPE_CHECKING:
    from guards.simulator.world import World

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")
_ANNOTATIONS = 256 * 1024
"""Bytes that all annotations of one object may have together."""

_LEASE: dict[str, Callable[[Any], object]] = {
    "holderIdentity": lambda value: isinstance(value, str),
    "leaseDurationSeconds": lambda value: type(value) is int and value > 0,
    "leaseTransitions": lambda value: type(value) is int and value >= 0,
    "acquireTime": lambda value: isinstance(value, str) and _MICRO_TIME.fullmatch(value),
    "renewTime": lambda value: isinstance(value, str) and _MICRO_TIME.fullmatch(value),
    "preferredHolder": lambda value: isinstance(value, str),
    "strategy": lambda value: isinstance(value, str),
}


@dataclass(slots=True, kw_only=True, eq=False)
class Stored(Record):
    """An object whose content is only the client's. `body` has no metadata; labels and annotations are the record's."""

    namespace: str
    body: Object


def admit(kind: Kind, version: str, namespace: str, body: Object) -> Object:
    """The metadata of an object that may be stored. Invalid names what is wrong with it."""
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        raise Invalid(f"{kind}: metadata is {metadata!r}, expected an object")
    what = f"{kind} {metadata.get('name', '')}"
    api_version = f"{kind.group}/{version}".removeprefix("/")
    if (seen := (body.get("apiVersion"), body.get("kind"))) != (api_version, kind.name):
        raise Invalid(f"{what}: apiVersion and kind are {seen}, expected {(api_version, kind.name)}")
    if metadata.get("namespace", namespace) != namespace:
        raise Invalid(f"{what}: the namespace of the object ({metadata['namespace']}) is not {namespace}")
    _check_texts(what, metadata)
    if kind.name == "Lease":
        _check_lease(what, body)
    if kind.name == "Event" and body.get("regarding", {}).get("namespace") != namespace:
        raise Invalid(f"{what}: regarding.namespace does not match metadata.namespace {namespace}")
    return metadata


def check_name(kind: Kind, name: object) -> str:
    """A name that an object may have."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Invalid(f"{kind}: metadata.name is {name!r}, expected a lowercase RFC 1123 subdomain")
    return name


def _check_texts(what: str, metadata: Object) -> None:
    for field in ("labels", "annotations"):
        for key, value in metadata.get(field, {}).items():
            if not isinstance(value, str):
                raise Invalid(f"{what}: metadata.{field}[{key}] is {value!r}, expected a string")
    size = sum(len(key.encode()) + len(value.encode()) for key, value in metadata.get("annotations", {}).items())
    if size > _ANNOTATIONS:
        raise Invalid(f"{what}: metadata.annotations: must have at most {_ANNOTATIONS} bytes")


def _check_lease(what: str, body: Object) -> None:
    for field, value in body.get("spec", {}).items():
        if field not in _LEASE:
            raise Invalid(f'{what}: unknown field "spec.{field}"')
        if not _LEASE[field](value):
            raise Invalid(f"{what}: spec.{field}: invalid value {value!r}")


def content(body: Object) -> Object:
    """What of a body is the client's own."""
    return deepcopy({key: value for key, value in body.items() if key not in ("apiVersion", "kind", "metadata")})


def render_stored(record: Stored, api_version: str) -> Object:
    """The object on the wire: nothing of it is shared with the record."""
    metadata: Object = {
        "name": record.name,
        "namespace": record.namespace,
        "uid": record.uid,
        "resourceVersion": str(record.version),
        "creationTimestamp": instant(record.created),
    }
    for field, texts in (("labels", record.labels), ("annotations", record.annotations)):
        if texts:
            metadata[field] = dict(texts)
    return {"apiVersion": api_version, "kind": record.kind, "metadata": metadata} | deepcopy(record.body)


def create(world: "World", kind: Kind, version: str, namespace: str, body: Object) -> Stored:
    """Store a new object, with its server-set fields. Conflict when the name is taken."""
    metadata = admit(kind, version, namespace, body)
    if "resourceVersion" in metadata:
        raise Invalid(f"{kind}: resourceVersion should not be set on objects to be created")
    name = check_name(kind, metadata.get("name") or _generated(world, metadata))
    if world.find(kind.name, name) is not None:
        raise Conflict(f'{kind.plural} "{name}" already exists')
    record = Stored(
        kind=kind.name, name=name, uid=world.uid(kind.name, f"{name}/{world.version}"), created=world.now(),
        namespace=namespace, body={},
    )  # fmt: skip
    return store(world, record, body)


def _generated(world: "World", metadata: Object) -> object:
    prefix = metadata.get("generateName")
    return f"{prefix}{world.version:05x}" if prefix else None


def update(world: "World", kind: Kind, version: str, record: Stored, body: Object) -> Stored:
    """Replace the object if nobody changed it since it was read. Conflict when somebody did."""
    metadata = admit(kind, version, record.namespace, body)
    seen = metadata.get("resourceVersion")
    if not isinstance(seen, str) or not seen:
        raise Invalid(f"{kind} {record.name}: metadata.resourceVersion is {seen!r}: must be specified for an update")
    if (uid := metadata.get("uid", record.uid)) != record.uid:
        raise Conflict(f"{kind} {record.name}: UID in precondition: {uid}, UID in object meta: {record.uid}")
    if seen != str(record.version):
        raise Conflict(f"{kind} {record.name}: the object has been modified ({seen} is not {record.version})")
    return store(world, record, body)


def store(world: "World", record: Stored, body: Object) -> Stored:
    """Take over what is the client's; a write that changes nothing makes no new resourceVersion."""
    metadata = body["metadata"]
    fresh = content(body), dict(metadata.get("labels", {})), dict(metadata.get("annotations", {}))
    if not world.exists(record) or fresh != (record.body, record.labels, record.annotations):
        record.body, record.labels, record.annotations = fresh
        world.add(record)
    return record
