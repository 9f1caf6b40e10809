"""Watches that only wake: an event says "look again at this kind", a list then decides.

One daemon thread per watched kind. Contents of events are dropped unread; of bookmarks only the resourceVersion is
kept, so that the next watch begins where the last one ended.
"""

import random
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager

from guards.kube.access import Kind
from guards.kube.answers import failure
from guards.kube.errors import KubeError
from guards.kube.retry import pause
from guards.kube.strict import parse
from guards.kube.transport import Answer

COALESCE = 0.2
"""Seconds after the first event in which further ones join it."""
LONGEST_BACKOFF = 30.0
SHORTEST_WATCH = 5.0
"""Seconds; a watch that ends sooner counts as failed, or a server that hangs up at once would be asked in a loop."""
HEAD = 4096
"""Bytes kept of one line: a bookmark is shorter, everything longer is an event."""

Open = Callable[[int | None, int], AbstractContextManager[tuple[Answer, Iterator[bytes]]]]
"""Begin a watch from this resourceVersion (None: any) for this many seconds."""


class Alarm:
    """The kinds that changed since the last `wait`, set by the watching threads."""

    def __init__(self) -> None:
        self._changed: set[Kind] = set()
        self._condition = threading.Condition()

    def mark(self, kind: Kind) -> None:
        with self._condition:
            self._changed.add(kind)
            self._condition.notify_all()

    def wait(self, seconds: float) -> frozenset[Kind]:
        """Wait until a kind is marked, then a little longer for the rest of the burst; at most `seconds` in all."""
        with self._condition:
            if self._condition.wait_for(lambda: bool(self._changed), timeout=max(0.0, seconds)):
                self._condition.wait_for(lambda: False, timeout=min(COALESCE, max(0.0, seconds)))
            changed = frozenset(self._changed)
            self._changed.clear()
            return changed


class Watcher:
    """Watches one kind for the life of the process; every failure is survived, and a gap counts as a change."""

    def __init__(
        self,
        kind: Kind,
        begin: Open,
        listed: Callable[[], int | None],
        mark: Callable[[Kind], None],
        monotonic: Callable[[], float],
        stop: threading.Event,
    ) -> None:
        self._kind, self._begin, self._listed, self._mark = kind, begin, listed, mark
        self._monotonic, self._stop = monotonic, stop
        self._bookmark = 0
        self._refused = 0
        """Versions up to this one are too old to watch from."""
        self._lost = False

    def run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            started = self._monotonic()
            try:
                self._once()
                failed = self._monotonic() - started < SHORTEST_WATCH
            except Exception:
                # Also our own mistakes: a dead thread would silently cost every early wake.
                failed, self._lost = True, True
            failures = failures + 1 if failed else 0
            if failed:
                self._stop.wait(pause(failures - 1, first=1.0, cap=LONGEST_BACKOFF))

    def _once(self) -> None:
        version = max(self._listed() or 0, self._bookmark)
        begin_at = version if version > self._refused else None
        with self._begin(begin_at, random.randint(300, 600)) as (answer, pieces):  # noqa: S311
            if answer.status != 200:
                self._give_up_on(version if answer.status == 410 else 0)
                raise failure(answer, f"watch {self._kind}")
            if self._lost:
                self._lost = False
                self._mark(self._kind)
            for line in lines(pieces):
                self._take(line, version)

    def _take(self, line: bytes, begun_at: int) -> None:
        version = bookmark(line)
        if version:
            self._bookmark = max(self._bookmark, version)
            return
        self._mark(self._kind)
        if line.startswith(b'{"type":"ERROR"'):
            self._give_up_on(begun_at)
            raise KubeError(f"watch {self._kind}: {line[:200]!r}")

    def _give_up_on(self, version: int) -> None:
        """Events up to now are lost: have the kind listed, and watch from anywhere newer."""
        self._refused = max(self._refused, version, self._bookmark if version else 0)
        self._mark(self._kind)


def lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a stream, each cut to its first HEAD bytes however long it is."""
    head = b""
    for piece in pieces:
        *ended, rest = piece.split(b"\n")
        for part in ended:
            yield (head + part)[:HEAD]
            head = b""
        head = (head + rest)[:HEAD]
    if head:
        yield head


def bookmark(line: bytes) -> int:
    """The resourceVersion of a bookmark; 0 for everything else."""
    if b'"BOOKMARK"' not in line[:40]:
        return 0
    try:
        return int(parse(line)["object"]["metadata"]["resourceVersion"])
    except (ValueError, KeyError, TypeError):
        return 0


def start(watchers: Iterable[Watcher]) -> None:
    for watcher in watchers:
        threading.Thread(target=watcher.run, name="watch", daemon=True).start()
