"""The management cluster over HTTP: `guards.kube.ports.ManagementCluster` and `Clock` for a real API server.

Every call is bounded (`Limits`), every answer is checked for its shape, reads are tried again within the call's time,
a write is sent exactly once: a broken answer to a write leaves its outcome unknown, and the error says so.
"""

import builtins
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote, urlencode

from guards.kube import answers
from guards.kube.access import Kind
from guards.kube.clock import ServerClock
from guards.kube.connect import Connection
from guards.kube.errors import NotFound, NotServed, Unreachable
from guards.kube.lists import PAGE, Expired, Versions, read_pages
from guards.kube.ports import Object
from guards.kube.retry import Budget, pause, retry_after
from guards.kube.transport import Answer, Limits, NoAnswer, Transport
from guards.kube.watch import Alarm, Watcher, start

T = TypeVar("T")

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_USER_AGENT = "capi-rollout"


def _sleep(seconds: float) -> None:
    threading.Event().wait(seconds)


class Client:
    """One management cluster. Calls may come from several threads; each has its own connection."""

    def __init__(
        self,
        connection: Connection,
        limits: Limits | None = None,
        sleep: Callable[[float], None] = _sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.connection = connection
        self._limits = limits or Limits()
        self._sleep, self._monotonic = sleep, monotonic
        self._clock = ServerClock()
        self._alarm = Alarm()
        self._versions = Versions()
        self._served: dict[str, tuple[str, ...]] = {}
        self._watched: set[tuple[Kind, str, str]] = set()
        self._stop = threading.Event()
        self._own = threading.local()
        self._transports: set[Transport] = set()

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
        what = f"get {kind.plural}.{kind.group} {namespace}/{name}"
        version = self.served_version(kind)
        path = f"{_collection(kind, version, namespace)}/{quote(name, safe='')}"
        answer = self._read("GET", path, what, passes=frozenset({404}))
        if answer.status == 404 and not answers.names_missing(answer, name):
            self._not_served(kind, what)
        found = answers.document(self._check(answer, what), what, f"{kind.group}/{version}", kind.name)
        if answers.metadata(found, what, namespace)["name"] != name:
            raise Unreachable(f"{what}: the answer is {found['metadata']['name']}")
        return found

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
        what = f"list {kind.plural}.{kind.group} in {namespace}"
        budget = Budget(self._limits.total, self._monotonic)

        def fetch(token: str) -> Object:
            query = {"limit": str(PAGE)} | _present(labelSelector=labels, **{"continue": token})
            path = f"{_collection(kind, version, namespace)}?{urlencode(query)}"
            answer = self._read("GET", path, what, budget=budget, passes=frozenset({404, 410}))
            if answer.status == 410 and token:
                raise Expired
            if answer.status == 404:
                self._not_served(kind, what)
            return answers.document(self._check(answer, what), what, f"{kind.group}/{version}", f"{kind.name}List")

        collection = _collection(kind, "", namespace)
        return read_pages(fetch, lambda v: self._versions.accept(collection, v, what), read, what, namespace)

    def allowed(self, verb: str, group: str, resource: str, namespace: str) -> bool:
        what = f"may I {verb} {resource}.{group} in {namespace}"
        attributes = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
        kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        # A POST, but one that stores nothing: as repeatable as any read.
        answer = self._read("POST", _REVIEWS, what, body=kind | {"spec": {"resourceAttributes": attributes}})
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
        """Create one object, unknown fields refused; the stored object. Sent once: after Unreachable nobody knows."""
        what = f"create {kind.plural}.{kind.group} in {namespace}"
        version = self.served_version(kind)
        query = {"fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})
        path = f"{_collection(kind, version, namespace)}?{urlencode(query)}"
        try:
            answer = self._exchange("POST", path, body, Budget(self._limits.total, self._monotonic))
            if answer.status >= 500:
                raise answers.failure(answer, "the API server")
            if answer.status < 300:
                return answers.document(answer, "the API server", f"{kind.group}/{version}", kind.name)
        except Unreachable as error:
            raise Unreachable(f"{what}: whether it was done is unknown: {error}") from error
        if answer.status == 401:
            self._renew()  # for the next call; this one is not repeated
        raise answers.failure(answer, what)

    # -- Clock

    def now(self) -> datetime:
        return self._clock.now()

    def wait(self, seconds: float) -> frozenset[Kind]:
        return self._alarm.wait(seconds)

    def close(self) -> None:
        """End all watches and connections."""
        self._stop.set()
        for transport in tuple(self._transports):
            transport.close()

    # -- one call

    def _read(
        self,
        method: str,
        path: str,
        what: str,
        *,
        body: Any = None,
        budget: Budget | None = None,
        passes: frozenset[int] = frozenset(),
    ) -> Answer:
        """A repeatable request until it is answered, or the call's time or tries are over."""
        budget = budget or Budget(self._limits.total, self._monotonic)
        renewed = False
        for attempt in range(self._limits.tries + 1):
            wish: float | None = None
            try:
                answer = self._exchange(method, path, body, budget)
                if answer.status == 401 and not renewed:
                    renewed = True
                    self._renew()
                    continue
                if answer.status not in answers.TRANSIENT:
                    return answer if answer.status in passes else self._check(answer, what)
                wish, error = retry_after(answer.headers), answers.failure(answer, what)
            except NoAnswer as broken:
                error = NoAnswer(f"{what}: {self.connection.server}: {broken}")
            delay = pause(attempt) if wish is None else wish
            if attempt >= self._limits.tries - 1 or delay >= budget.left():
                break
            self._sleep(delay)
        raise error

    def _check(self, answer: Answer, what: str) -> Answer:
        if not 200 <= answer.status < 300:
            raise answers.failure(answer, what)
        return answer

    def _exchange(self, method: str, path: str, body: Any, budget: Budget) -> Answer:
        if self._stop.is_set():
            raise Unreachable("this client is closed")
        if budget.left() <= 0:
            raise NoAnswer(f"no answer within {self._limits.total:.0f}s")
        answer = self._transport().send(method, self._url(path), self._headers(), body, seconds=budget.left())
        self._clock.observe(answer.headers.get("Date"))
        return answer

    def _transport(self) -> Transport:
        found: Transport | None = getattr(self._own, "transport", None)
        if found is None:
            found = self._own.transport = Transport(self.connection.configuration, self._limits)
            self._transports.add(found)
        return found

    def _renew(self) -> None:
        """Fresh credentials, and a fresh connection: the credential may be a client certificate."""
        self.connection.renew()
        self._own.transport.close()
        self._transports.discard(self._own.transport)
        self._own.transport = None

    def _url(self, path: str) -> str:
        return self.connection.server.rstrip("/") + path

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": _USER_AGENT, "Content-Type": "application/json"}
        return headers | _present(Authorization=self.connection.authorization())

    # -- discovery

    def _discover(self, kind: Kind) -> tuple[str, ...]:
        what = f"discover {kind.group}"
        try:
            answer = self._read("GET", f"/apis/{kind.group}", what)
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
        @contextmanager
        def begin(version: int | None, seconds: int) -> Iterator[tuple[Answer, Iterator[bytes]]]:
            query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds)}
            query |= _present(labelSelector=labels, resourceVersion=str(version or ""))
            url = self._url(f"{_collection(kind, self.served_version(kind), namespace)}?{urlencode(query)}")
            with self._transport().stream(url, self._headers(), seconds=seconds + 10) as (answer, pieces):
                if answer.status == 401:
                    self.connection.renew()
                yield answer, pieces

        collection = _collection(kind, "", namespace)
        return Watcher(
            kind, begin, lambda: self._versions.newest(collection), self._alarm.mark, self._monotonic, self._stop
        )


def _collection(kind: Kind, version: str, namespace: str) -> str:
    return f"/apis/{kind.group}/{version}/namespaces/{quote(namespace, safe='')}/{kind.plural}"


def _present(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
