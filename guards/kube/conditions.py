"""Conditions of both API versions as one thing. A missing one reads as Unknown; of duplicates the worst counts."""

from dataclasses import dataclass
from datetime import datetime

from guards.core.model import Ready
from guards.kube.fields import at, instant, items, text
from guards.kube.ports import Object

_BADNESS = {Ready.TRUE: 0, Ready.UNKNOWN: 1, Ready.FALSE: 2}


@dataclass(frozen=True, slots=True)
class Condition:
    """`found` is False when the object does not carry the condition at all."""

    status: Ready = Ready.UNKNOWN
    reason: str = ""
    message: str = ""
    since: datetime | None = None
    found: bool = False


MISSING = Condition()


def path(version: str, item: Object) -> tuple[str, ...]:
    """Where the v1beta2-style conditions of a Cluster API object are, by the version it is read at."""
    return ("status", "conditions") if version == "v1beta2" else ("status", "v1beta2", "conditions")


def condition(item: Object, where: tuple[str, ...], kind: str) -> Condition:
    """The condition of this type."""
    found = [_read(entry) for entry in items(item, *where) if entry.get("type") == kind]
    return max(found, key=lambda one: _BADNESS[one.status], default=MISSING)


def has_new_conditions(version: str, item: Object) -> bool:
    """Whether Cluster API wrote v1beta2-style conditions (1.9 and later), or has written nothing yet."""
    return version == "v1beta2" or at(item, "status", "v1beta2") is not None or not items(item, "status", "conditions")


def _read(entry: Object) -> Condition:
    status = text(entry, "status")
    return Condition(
        status=Ready(status) if status in set(Ready) else Ready.UNKNOWN,
        reason=text(entry, "reason"),
        message=text(entry, "message"),
        since=instant(entry, "lastTransitionTime"),
        found=True,
    )
