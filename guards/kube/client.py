"""The management cluster over HTTP: `guards.kube.ports.ManagementCluster` and `Clock` for a real API server.

This file says what is asked and what the answer must be; how one call is made, bounded and repeated is
`guards.kube.calls`.
"""

import builtins
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import NoReturn, TypeVar
from urllib.parse import quote, urlencode

from guards.kube import answers
from guards.kube.access import Kind
from guards.kube.calls import Calls
from guards.kube.clock import ServerClock, steady
from guards.kube.connect import Connection
from guards.kube.errors import NotFound, NotServed, Unreachable
from guards.kube.lists import PAGE, Expired, Versions, read_pages
from guards.kube.ports import Object
from guards.kube.transport import Answer, Limits
from guards.kube.watch import Alarm, Watcher, start

T = TypeVar("T")

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_STRICT = {"fieldValidation": "Strict"}


class Client:
    """One management cluster. Calls may come from several threads. `stop`: once set, nothing more is sent."""

    def __init__(
        self,
        connection: Connection,
        limits: Limits | None = None,
        sleep: Callable[[float], object] | None = None,
        monotonic: Callable[[], float] = steady,
        stop: threading.Event | None = None,
    ) -> None:
        self.connection = connection
        self._stop = stop or threading.Event()
        self._clock = ServerClock(monotonic)
        self._calls = Calls(connection, limits or Limits(), sleep or self._stop.wait, self._clock, self._stop)
        self._alarm = Alarm()
        self._versions = Versions(monotonic)
        self._served: dict[str, tuple[str, ...]] = {}
        self._watched: set[tuple[Kind, str, str]] = set()

    # -- ManagementCluster

    def served_version(self, kind: Kind) -> str:
        served = self._served.get(kind.group) or self._discover(kind)
        for version in kind.versions:
            if version in served:
                return version
        raise NotServed(
            f"{kind.name}: {kind.group} is served at {', '.join(served)}; this program reads {', '.join(kind.versions)}"
        )

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        what = f"get {_resource(kind)} {namespace}/{name}"
        version = self.served_version(kind)
        answer = self._calls.read("GET", _path(kind, version, namespace, name), what, passes=frozenset({404}))
        if answer.status == 404 and answers.missing_name(answer) != name:
            self._not_served(kind, what)
        return _named(answers.success(answer, what), what, kind, version, namespace, name)

    def list(self, kind: Kind, namespace: str, labels: str, read: Callable[[Object], T]) -> "list[T]":
        version = self.served_version(kind)
        try:
            return self._pages(kind, version, namespace, labels, read)
        except NotServed:
            # An upgrade may have ended this version meanwhile: look once which one is served now.
            if (now := self.served_version(kind)) == version:
                raise
            return self._pages(kind, now, namespace, labels, read)

    def _pages(
        self, kind: Kind, version: str, namespace: str, labels: str, read: Callable[[Object], T]
    ) -> "builtins.list[T]":
        what = f"list {_resource(kind)} in {namespace}"
        budget = self._calls.budget()

        def fetch(token: str) -> Object:
            query = {"limit": str(PAGE)} | _present(labelSelector=labels, **{"continue": token})
            path = f"{_path(kind, version, namespace)}?{urlencode(query)}"
            answer = self._calls.read("GET", path, what, budget=budget, passes=frozenset({404, 410}))
            if answer.status == 410 and token:
                raise Expired
            if answer.status == 404:
                self._not_served(kind, what)
            api_version = _api_version(kind, version)
            return answers.document(answers.success(answer, what), what, api_version, f"{kind.name}List")

        collection = _path(kind, "", namespace)
        return read_pages(fetch, lambda v: self._versions.accept(collection, v, what), read, what, namespace)

    def allowed(self, verb: str, group: str, resource: str, namespace: str) -> bool:
        what = f"may I {verb} {resource}.{group} in {namespace}"
        attributes = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
        kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        # A POST, but one that stores nothing: as repeatable as any read.
        answer = self._calls.read("POST", _REVIEWS, what, body=kind | {"spec": {"resourceAttributes": attributes}})
        review = answers.document(answer, what, kind["apiVersion"], kind["kind"])
        verdict = (review.get("status") or {}).get("allowed")
        if not isinstance(verdict, bool):
            raise Unreachable(f"{what}: the review has no verdict")
        return verdict

    def watch(self, kinds: Iterable[Kind], namespace: str, labels: str) -> None:
        new = [kind for kind in kinds if (kind, namespace, labels) not in self._watched]
        self._watched.update((kind, namespace, labels) for kind in new)
        start(self._watcher(kind, namespace, labels) for kind in new)

    # -- writes

    def create(self, kind: Kind, namespace: str, body: Object, *, dry_run: bool = False) -> Object:
        """Create one object, unknown fields refused; the stored object."""
        what = f"create {_resource(kind)} in {namespace}"
        version = self.served_version(kind)
        query = _STRICT | ({"dryRun": "All"} if dry_run else {})
        name = str(body["metadata"].get("name") or "")
        return self._calls.write(
            "POST",
            f"{_path(kind, version, namespace)}?{urlencode(query)}",
            body,
            what,
            lambda answer, doubt: _named(answer, doubt, kind, version, namespace, name),
        )

    def update(self, kind: Kind, namespace: str, body: Object) -> Object:
        """Replace one object, unknown fields refused; the stored object.

        ValueError when `body` does not name its resourceVersion and its UID: without the first it would overwrite
        whatever is there, without the second the API server would create a Lease that somebody has deleted.
        """
        head = body["metadata"]
        name = str(head["name"])
        what = f"update {_resource(kind)} {namespace}/{name}"
        _certain(what, head.get("uid"), head.get("resourceVersion"))
        version = self.served_version(kind)
        return self._calls.write(
            "PUT",
            f"{_path(kind, version, namespace, name)}?{urlencode(_STRICT)}",
            body,
            what,
            lambda answer, doubt: _named(answer, doubt, kind, version, namespace, name),
        )

    def delete(self, kind: Kind, namespace: str, name: str, uid: str, resource_version: str) -> None:
        """Delete exactly this object in exactly this state; there is no way to delete by name alone (ValueError)."""
        what = f"delete {_resource(kind)} {namespace}/{name} (UID {uid}, resourceVersion {resource_version})"
        _certain(what, uid, resource_version)
        version = self.served_version(kind)
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid, "resourceVersion": resource_version},
            "propagationPolicy": "Background",
        }
        self._calls.write(
            "DELETE",
            _path(kind, version, namespace, name),
            options,
            what,
            lambda answer, doubt: answers.deleted(answer, doubt, _api_version(kind, version), kind.name, uid),
        )

    # -- Clock

    def now(self) -> datetime:
        return self._clock.now()

    def wait(self, seconds: float) -> frozenset[Kind]:
        return self._alarm.wait(seconds)

    def close(self) -> None:
        """End all watches and connections."""
        self._calls.close()

    # -- discovery

    def _discover(self, kind: Kind) -> tuple[str, ...]:
        if not kind.group:
            return ("v1",)  # the core group has no other version, and is discovered elsewhere
        what = f"discover {kind.group}"
        try:
            answer = self._calls.read("GET", f"/apis/{kind.group}", what)
        except NotFound as error:
            raise NotServed(
                f"{kind.name}: no API group {kind.group}: is its controller installed? ({error})"
            ) from error
        group = answers.document(answer, what, "v1", "APIGroup")
        versions = group.get("versions")
        if not isinstance(versions, list) or not all(isinstance(v, dict) and v.get("version") for v in versions):
            raise Unreachable(f"{what}: versions is {versions!r:.80}, expected a list")
        self._served[kind.group] = tuple(str(entry["version"]) for entry in versions)
        return self._served[kind.group]

    def _not_served(self, kind: Kind, what: str) -> NoReturn:
        """404 without a missing object is never "none": the kind is gone, or moved to another version."""
        self._served.pop(kind.group, None)
        raise NotServed(f"{what}: this kind is not served (HTTP 404): is its controller installed?")

    # -- watches

    def _watcher(self, kind: Kind, namespace: str, labels: str) -> Watcher:
        def begin(version: int | None, seconds: int) -> AbstractContextManager[tuple[Answer, Iterator[bytes]]]:
            query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds)}
            query |= _present(labelSelector=labels, resourceVersion=str(version or ""))
            path = f"{_path(kind, self.served_version(kind), namespace)}?{urlencode(query)}"
            return self._calls.stream(path, seconds=seconds + 10)

        collection = _path(kind, "", namespace)
        return Watcher(
            kind,
            begin,
            lambda: self._versions.newest(collection),
            self._alarm.mark,
            self._clock.monotonic,
            self._stop,
        )


def _path(kind: Kind, version: str, namespace: str, name: str = "") -> str:
    root = f"/apis/{kind.group}/{version}" if kind.group else f"/api/{version}"
    collection = f"{root}/namespaces/{quote(namespace, safe='')}/{kind.plural}"
    return f"{collection}/{quote(name, safe='')}" if name else collection


def _api_version(kind: Kind, version: str) -> str:
    return f"{kind.group}/{version}" if kind.group else version


def _resource(kind: Kind) -> str:
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural


def _present(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _named(answer: Answer, what: str, kind: Kind, version: str, namespace: str, name: str) -> Object:
    """The object of a success, which must be the one that was meant; any name when `name` is ""."""
    found = answers.document(answer, what, _api_version(kind, version), kind.name)
    seen = answers.metadata(found, what, namespace)["name"]
    if name and seen != name:
        raise Unreachable(f"{what}: the answer is {seen}")
    return found


def _certain(what: str, uid: object, resource_version: object) -> None:
    """A write that is to hit one state of one object names both; a bug of ours must not widen it."""
    for label, value in (("UID", uid), ("resourceVersion", resource_version)):
        if not isinstance(value, str) or value in ("", "0"):
            raise ValueError(f"{what}: without a {label} ({value!r}) this could hit another object or state")
