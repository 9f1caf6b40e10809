"""What a look leads to."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from guards.exits import Exit


class Decision(StrEnum):
    """What preflight says; the WorkflowTemplate goes on only on ROLL."""

    ROLL = "roll"
    SUPERSEDED = "superseded"
    BOOTSTRAPPING = "bootstrapping"
    CONVERGED = "converged"
    SCALING = "scaling"
    UNHEALTHY = "unhealthy"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a check wants said. `rule` names the check ("G2", "max-surge")."""

    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.text} [{self.rule}]"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one look. `exit` None = wait and look again within `look_within`."""

    exit: Exit | None
    sentence: str
    """Object, seen, expected, next command: the text for the run list. One line."""
    findings: tuple[Finding, ...] = ()
    """Everything else worth saying at this look."""
    look_within: timedelta = timedelta(seconds=30)
    counts: tuple[str, ...] = ()
    """What was counted, a line for each budget."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a step ended."""

    exit: Exit
    sentence: str
    decision: Decision | None = None
    """Only preflight decides."""
    seen_at: datetime | None = None
    """The look that it judges; None where no look was judged."""
