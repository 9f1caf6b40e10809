"""A list in pages: whole and consistent, or an error. The union of two partial lists is never a list."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from guards.kube.answers import metadata
from guards.kube.errors import Unreachable, WentBack
from guards.kube.ports import Object

T = TypeVar("T")

PAGE = 500
MOST_PAGES = 400
RESTARTS = 3
"""How often a list whose continue token expired is started over."""
LONGEST_LAG = 300.0
"""Seconds of nothing but stale lists of a collection, after which the API server is not merely behind."""


class Expired(Exception):
    """410 on a continue token: what was read so far is void."""


class Versions:
    """The highest resourceVersion seen per collection: a lower one later on is an older state of the world.

    A lagging API server catches up; one that stays behind was restored from a backup, and what this run knows of its
    objects is no longer true.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._newest: dict[str, int] = {}
        self._behind_since: dict[str, float] = {}
        self._lock = threading.Lock()

    def newest(self, collection: str) -> int | None:
        with self._lock:
            return self._newest.get(collection)

    def accept(self, collection: str, version: int, what: str) -> None:
        """Remember this version. Unreachable (stale) when a higher one was seen; WentBack after LONGEST_LAG of that."""
        with self._lock:
            newest = self._newest.get(collection, 0)
            if version >= newest:
                self._newest[collection] = version
                self._behind_since.pop(collection, None)
                return
            now = self._monotonic()
            lag = now - self._behind_since.setdefault(collection, now)
        stale = f"{what}: stale list: resourceVersion {version}, but {newest} was seen before"
        if lag >= LONGEST_LAG:
            raise WentBack(
                f"{stale}, for {lag:.0f}s: was etcd restored from a backup? Nothing this run has seen is certain any "
                "more. Next: compare the cluster with git, then start a new run"
            )
        raise Unreachable(stale)


def read_pages(
    fetch: Callable[[str], Object],
    accept: Callable[[int], None],
    read: Callable[[Object], T],
    what: str,
    namespace: str,
) -> list[T]:
    """All pages through `read`. `fetch(token)` gets one page (token "" = the first) or raises Expired."""
    for _ in range(RESTARTS):
        try:
            return _one_pass(fetch, accept, read, what, namespace)
        except Expired:
            continue
    raise Unreachable(f"{what}: the continue token expired {RESTARTS} times in a row")


def _one_pass(
    fetch: Callable[[str], Object],
    accept: Callable[[int], None],
    read: Callable[[Object], T],
    what: str,
    namespace: str,
) -> list[T]:
    found: list[T] = []
    names: set[tuple[str, str]] = set()
    version: int | None = None
    token, tokens = "", set[str]()
    for _ in range(MOST_PAGES):
        version, token = _one_page(fetch(token), version, names, lambda item: found.append(read(item)), what, namespace)
        if not token:
            accept(version)
            return found
        if token in tokens:
            raise Unreachable(f"{what}: the continue token repeats: the pages go in a circle")
        tokens.add(token)
    raise Unreachable(f"{what}: more than {MOST_PAGES} pages of {PAGE}")


def _one_page(
    page: Object,
    version: int | None,
    names: set[tuple[str, str]],
    take: Callable[[Object], None],
    what: str,
    namespace: str,
) -> tuple[int, str]:
    """Its resourceVersion and continue token. The raw page is gone before the next one is fetched."""
    version = _same_version(page, version, what)
    for item in _items(page, what):
        data = metadata(item, what, namespace)
        name = (str(data.get("namespace")), data["name"])
        if name in names:
            raise Unreachable(f"{what}: {data['name']} is listed twice")
        names.add(name)
        take(item)
    token = page["metadata"].get("continue") or ""
    if not isinstance(token, str):
        raise Unreachable(f"{what}: the continue token is {token!r:.60}, expected text")
    return version, token


def _same_version(page: Object, version: int | None, what: str) -> int:
    head = page.get("metadata")
    text = head.get("resourceVersion") if isinstance(head, dict) else None
    if not isinstance(text, str) or not text.isdecimal():
        raise Unreachable(f"{what}: the list has resourceVersion {text!r}, expected a number")
    if version is not None and version != int(text):
        raise Unreachable(f"{what}: a page of resourceVersion {text} follows one of {version}")
    return int(text)


def _items(page: Object, what: str) -> list[Any]:
    items = page.get("items")
    if not isinstance(items, list):
        raise Unreachable(f"{what}: items is {items!r:.60}, expected a list")
    return items
