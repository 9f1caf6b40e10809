"""The present instant: our monotonic clock, set by the API server's `Date` header.

Ages of objects are computed from the server's timestamps, so only its clock counts, not the node's or the laptop's.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

TOLERATED_SKEW = timedelta(seconds=2)
"""Below this the header says nothing: it has whole seconds, and the answer took its time."""


class ServerClock:
    """UTC, never running backwards: where the server turns out to be behind, the clock stands still meanwhile."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._monotonic = monotonic
        self._origin = datetime.fromtimestamp(wall(), UTC) - timedelta(seconds=monotonic())
        self._last: datetime | None = None
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            present = self._local()
            self._last = present if self._last is None else max(self._last, present)
            return self._last

    def observe(self, date: str | None) -> None:
        """Take over the server's time from a `Date` header that has just arrived; a missing or odd one is ignored."""
        server = http_date(date)
        if server is None:
            return
        with self._lock:
            skew = server + timedelta(seconds=0.5) - self._local()
            if abs(skew) > TOLERATED_SKEW:
                self._origin += skew

    def _local(self) -> datetime:
        return self._origin + timedelta(seconds=self._monotonic())


def http_date(text: str | None) -> datetime | None:
    """An HTTP date as UTC, None when it is none."""
    try:
        parsed = parsedate_to_datetime(text) if text else None
    except (TypeError, ValueError):
        return None
    return parsed.astimezone(UTC) if parsed and parsed.tzinfo else None
