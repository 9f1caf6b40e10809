"""The loop of a step: look, decide, say, wait; until the verdict ends it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from guards.core import report
from guards.core.decide import decide, take_in
from guards.core.memory import Memory
from guards.core.model import Snapshot
from guards.core.verdict import Ending
from guards.durations import format_duration
from guards.exits import Exit
from guards.journal import Journal
from guards.kube.access import Kind
from guards.kube.errors import KubeError, Malformed, Unreachable
from guards.kube.lease import RENEW_EVERY
from guards.kube.observe import Observer
from guards.kube.ports import Clock
from guards.parameters import Parameters, Scope
from guards.remediate import Remediator
from guards.tenure import Tenure

OUTAGE_LIMIT = timedelta(minutes=15)
"""The management API may be away for so long: it rolls too when the cluster manages itself."""
RETRY_AFTER = timedelta(seconds=5)

T = TypeVar("T")


@dataclass
class Lookout:
    """Looks that survive outages of the management API. Raises Overdue when one lasts too long."""

    observer: Observer
    clock: Clock
    journal: Journal
    _changed: frozenset[Kind] = field(default_factory=frozenset)
    _blind_since: datetime | None = None

    def look(self) -> Snapshot:
        """The next snapshot, however many tries it takes."""
        return self.reachable(lambda: self.observer.look(self._changed))

    def reachable(self, ask: Callable[[], T]) -> T:
        """The answer to a question that only reads, however many tries it takes."""
        while True:
            try:
                answer = ask()
            except (Unreachable, Malformed) as error:
                self._could_not(error)
                self._changed |= self.clock.wait(RETRY_AFTER.total_seconds())
            else:
                self._blind_since = None
                return answer

    def wait(self, period: timedelta) -> bool:
        """Sleep for `period`, or until something watched has changed: True."""
        self.reachable(self.observer.watch)
        self._changed = self.clock.wait(period.total_seconds())
        return bool(self._changed)

    def afresh(self) -> Snapshot:
        """Everything listed again, one try. KubeError."""
        return self.observer.look(self.observer.kinds)

    def _could_not(self, error: KubeError) -> None:
        now = self.clock.now()
        self._blind_since = self._blind_since or now
        self.journal.say(now, f"could not look: {error}; trying again for {format_duration(OUTAGE_LIMIT)}")
        if now - self._blind_since >= OUTAGE_LIMIT:
            raise Overdue(f"no look for {format_duration(OUTAGE_LIMIT)}: {error}") from error


class Overdue(KubeError):
    """The management API could not be read for OUTAGE_LIMIT."""


@dataclass(frozen=True)
class Hands:
    """What a run has beside its eyes; each is None where there is none."""

    tenure: Tenure | None = None
    remediator: Remediator | None = None


def supervise(lookout: Lookout, parameters: Parameters, scope: Scope, first: Snapshot, hands: Hands) -> Ending:
    """Watch `scope` until it is rolled, or until a guard says no. `first` is the look the step began with."""
    memory = hands.tenure.begin(first) if hands.tenure else Memory(started_at=first.taken_at)
    snapshot = first
    while True:
        memory = take_in(memory, snapshot, parameters)
        verdict = decide(snapshot, memory, parameters, scope)
        if hands.remediator:
            memory, verdict = hands.remediator.after_look(memory, snapshot, verdict)
        lookout.journal.say(snapshot.taken_at, *report.lines(verdict))
        lookout.journal.progress(*report.progress(snapshot, parameters))
        ending = None
        if verdict.exit is not None:
            did = hands.tenure.told() if hands.tenure else ""
            ending = Ending(Exit(verdict.exit), verdict.sentence + did, seen_at=snapshot.taken_at)
        if hands.tenure:
            hands.tenure.keep(memory, snapshot, ending)
        if ending is not None:
            return ending
        _rest(lookout, hands.tenure, memory, snapshot, verdict.look_within)
        snapshot = lookout.look()


def _rest(lookout: Lookout, tenure: Tenure | None, memory: Memory, snapshot: Snapshot, period: timedelta) -> None:
    """Wait for `period` or the next change, and keep the Lease meanwhile."""
    if tenure is None:
        lookout.wait(period)
        return
    while period > timedelta(0):
        part = min(period, RENEW_EVERY)
        if lookout.wait(part):
            return
        period -= part
        tenure.keep(memory, snapshot)
