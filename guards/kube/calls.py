"""One call to the API server: as whom, within what time, and how often.

A read is tried again within the call's time. A write is sent exactly once, whatever comes of it: by nothing here, and
by nothing below. Every answer that is not a plain yes or no leaves its outcome unknown, and the error says so.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from guards.kube import answers
from guards.kube.clock import ServerClock
from guards.kube.connect import Connection
from guards.kube.errors import KubeError, Unreachable
from guards.kube.ports import Object
from guards.kube.retry import Budget, pause, retry_after
from guards.kube.transport import Answer, Limits, NoAnswer, Transport

T = TypeVar("T")

SHORTEST_SECRET = 8
"""Bytes: what is shorter is no credential of any cluster, and stands in every other word."""

_USER_AGENT = "capi-rollout"


class Calls:
    """Calls may come from several threads; each has its own connection. `stop`: once set, nothing more is sent."""

    def __init__(
        self,
        connection: Connection,
        limits: Limits,
        sleep: Callable[[float], object],
        clock: ServerClock,
        stop: threading.Event,
    ) -> None:
        self.connection, self.clock, self.stop = connection, clock, stop
        self._limits, self._sleep = limits, sleep
        self._own = threading.local()
        self._transports: set[Transport] = set()

    def budget(self) -> Budget:
        return Budget(self._limits.total, self.clock.monotonic)

    def read(
        self,
        method: str,
        path: str,
        what: str,
        *,
        body: Object | None = None,
        budget: Budget | None = None,
        passes: frozenset[int] = frozenset(),
    ) -> Answer:
        """A repeatable request until it is answered with a 2xx or one of `passes`, or its time or tries are over."""
        budget = budget or self.budget()
        renewed = False
        for attempt in range(self._limits.tries + 1):
            wish: float | None = None
            try:
                answer = self._timed(method, path, body, budget)
            except NoAnswer as broken:
                error: KubeError = NoAnswer(f"{what}: {self.connection.server}: {broken}")
            except Unreachable as final:
                raise Unreachable(f"{what}: {self.connection.server}: {final}") from final
            else:
                if answer.status == 401 and not renewed:
                    renewed = True
                    self.connection.renew()
                    continue
                if answer.status not in answers.TRANSIENT:
                    return answer if answer.status in passes else answers.success(answer, what)
                wish, error = retry_after(answer.headers), answers.failure(answer, what)
            delay = pause(attempt) if wish is None else wish
            if attempt >= self._limits.tries - 1 or delay >= budget.left():
                break
            self._sleep(delay)
        raise error

    def write(self, method: str, path: str, body: Object, what: str, stored: Callable[[Answer, str], T]) -> T:
        """Send this once. `stored` reads a 2xx, and raises Unreachable when it is not what a done write answers."""
        doubt = f"{what}: whether it was done is unknown"
        try:
            answer = self._exchange(method, path, body, self.budget())
        except Unreachable as error:
            raise Unreachable(f"{doubt}: {self.connection.server}: {error}") from error
        if 200 <= answer.status < 300:
            return stored(answer, doubt)
        if answer.status == 401:
            self.connection.renew()  # for the next call; this one is not repeated
        raise answers.refusal(answer, what, doubt)

    @contextmanager
    def stream(self, path: str, *, seconds: float) -> "Iterator[tuple[Answer, Iterator[bytes]]]":
        """One GET whose body arrives in pieces for at most `seconds`."""
        with self._transport().stream(self._url(path), self._headers(), seconds=seconds) as (answer, pieces):
            if answer.status == 401:
                self.connection.renew()
            yield answer, pieces

    def close(self) -> None:
        """End all calls, also under the hands of the threads that wait for an answer."""
        self.stop.set()
        for transport in tuple(self._transports):
            transport.close()

    def _timed(self, method: str, path: str, body: Object | None, budget: Budget) -> Answer:
        """One exchange, whose answer also tells the time. Not for writes: what was done does not depend on a clock."""
        sent = self.clock.monotonic()
        answer = self._exchange(method, path, body, budget)
        if answer.status < 500:  # those may come from something in between, with a clock of its own
            self.clock.observe(answer.headers.get("Date"), sent)
        return answer

    def _exchange(self, method: str, path: str, body: Object | None, budget: Budget) -> Answer:
        if budget.left() <= 0:
            raise NoAnswer(f"no answer within {self._limits.total:.0f}s")
        transport, headers = self._transport(), self._headers()
        if self.stop.is_set():
            raise Unreachable("this client is closed")
        answer = transport.send(method, self._url(path), headers, body, seconds=budget.left())
        # Some proxies repeat the whole request in their error page.
        secret = headers.get("Authorization", "").rpartition(" ")[2].encode()
        known = len(secret) >= SHORTEST_SECRET
        return replace(answer, body=answer.body.replace(secret, b"(credential)")) if known else answer

    def _transport(self) -> Transport:
        """This thread's connection; a new one when the configuration was loaded again: it may hold a certificate."""
        found: Transport | None = getattr(self._own, "transport", None)
        if found is not None and found.configuration is self.connection.configuration:
            return found
        if found is not None:
            found.close()
            self._transports.discard(found)
        made = self._own.transport = Transport(self.connection.configuration, self._limits)
        self._transports.add(made)
        return made

    def _url(self, path: str) -> str:
        return self.connection.server.rstrip("/") + path

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": _USER_AGENT, "Content-Type": "application/json"}
        credential = self.connection.authorization()
        return headers | ({"Authorization": credential} if credential else {})
