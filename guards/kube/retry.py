"""When a read is tried again, and when its time is over."""

import random
from collections.abc import Callable, Mapping

from guards.kube.clock import http_date

LONGEST_PAUSE = 60.0
"""Seconds a server may ask us to stay away (Retry-After); a longer wish is cut to this."""


class Budget:
    """The time of one call, over all its attempts and pages. Seconds."""

    def __init__(self, total: float, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._end = monotonic() + total

    def left(self) -> float:
        return max(0.0, self._end - self._monotonic())


def pause(attempt: int, first: float = 0.2, cap: float = 5.0) -> float:
    """Seconds before attempt number `attempt + 1` (0 = after the first): doubling, jittered by half."""
    return min(cap, first * 2.0 ** min(attempt, 30)) * random.uniform(0.5, 1.0)  # noqa: S311


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from a Retry-After header (a number or a date), None when there is none that makes sense."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return min(float(text[:9]), LONGEST_PAUSE)
    until, date = http_date(text), http_date(headers.get("Date"))
    if until is None or date is None:
        return None
    return min(max(0.0, (until - date).total_seconds()), LONGEST_PAUSE)
