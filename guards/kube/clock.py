"""The present instant: our own steady clock, set by the API server's `Date` header.

Ages of objects are computed from the server's timestamps, so only its clock counts, not the node's or the laptop's. The
wall clock is read once, for the time before the first answer; whoever sets it afterwards moves nothing here.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from guards.kube.errors import Unreachable

TOLERATED_SKEW = timedelta(seconds=2)
"""Below this the header says nothing: it has whole seconds, and clocks drift."""
LARGEST_SKEW = timedelta(seconds=30)
"""An API server that is further behind than this contradicts its own earlier answers: no age can be told."""

_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady() -> float:
    """Monotonic seconds; where the system offers it (Linux) they also pass while the machine is suspended."""
    return time.clock_gettime(_STEADY)


class ServerClock:
    """UTC in step with the API server.

    The first answer may set it in either direction. From then on it never runs backwards and never slower than our
    steady clock, so an age that is computed from it is never too short.
    """

    def __init__(self, monotonic: Callable[[], float] = steady, wall: Callable[[], float] = time.time) -> None:
        self.monotonic = monotonic
        self._origin = datetime.fromtimestamp(wall(), UTC) - timedelta(seconds=monotonic())
        self._in_step = False
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            return self._at(self.monotonic())

    def observe(self, date: str | None, sent: float) -> None:
        """Take over the server's time from the `Date` header of an answer that has just arrived.

        `sent`: `monotonic()` before the request; the server wrote the header after that. A missing or odd header is
        ignored. Unreachable when the server is more than LARGEST_SKEW behind what it said before.
        """
        server = http_date(date)
        if server is None:
            return
        with self._lock:
            ahead = server - self._at(self.monotonic())
            behind = self._at(sent) - server - timedelta(seconds=1)
            if ahead > TOLERATED_SKEW:
                self._origin += ahead
            elif behind > TOLERATED_SKEW and not self._in_step:
                self._origin -= behind
            elif behind > LARGEST_SKEW:
                raise Unreachable(
                    f"the API server's clock is {behind.total_seconds():.0f}s behind its earlier answers, so no age "
                    f"can be told from this one; expected at most {LARGEST_SKEW.total_seconds():.0f}s. Next: compare "
                    "the clocks of the API servers (chronyc tracking, talosctl time)"
                )
            self._in_step = True

    def _at(self, monotonic: float) -> datetime:
        return self._origin + timedelta(seconds=monotonic)


def http_date(text: str | None) -> datetime | None:
    """An HTTP date as UTC, None when it is none (or one that no clock shows)."""
    try:
        parsed = parsedate_to_datetime(text) if text else None
        found = parsed.astimezone(UTC) if parsed and parsed.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        return None
    return found if found and 2000 <= found.year < 3000 else None
