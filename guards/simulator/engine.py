"""Simulated time: a queue of what happens next, worked off event by event."""

import heapq
import math
from collections.abc import Callable
from datetime import datetime, timedelta

Action = Callable[[], object]

COALESCE = 0.2
"""Seconds a burst of changes is collected before a wait returns, as the real client does."""


class Engine:
    """Events run in the order of their time, then of their scheduling. Nothing happens except in `advance`."""

    def __init__(self, start: datetime) -> None:
        self.start = start
        self.seconds = 0.0
        self._queue: list[tuple[float, int, Action]] = []
        self._scheduled = 0

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds)

    def after(self, seconds: float, action: Action) -> None:
        """Run `action` in `seconds`; an infinite delay means never."""
        if math.isinf(seconds):
            return
        self._scheduled += 1
        heapq.heappush(self._queue, (round(self.seconds + max(0.0, seconds), 3), self._scheduled, action))

    def advance(self, seconds: float, interrupted: Callable[[], bool]) -> None:
        """Let time pass, at most `seconds`; stop COALESCE after the first event that makes `interrupted` true."""
        deadline = round(self.seconds + seconds, 3)
        stopping = False
        while True:
            if interrupted() and not stopping:  # asked after every event: it measures too
                stopping = True
                deadline = min(deadline, round(self.seconds + COALESCE, 3))
            if not self._queue or self._queue[0][0] > deadline:
                break
            self.seconds, _, action = heapq.heappop(self._queue)
            action()
        self.seconds = deadline
