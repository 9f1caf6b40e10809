"""Follow one Workflow to its end and tell how the rollout ended.

The phase alone proves nothing: Argo marks a Workflow that was terminated while it waited for the lock as Succeeded.
What counts is what our own exit hook `report` said at the end of the run.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from guards.core.verdict import Ending
from guards.durations import format_duration
from guards.exits import Exit
from guards.kube import outcome
from guards.kube.access import WORKFLOW
from guards.kube.errors import NotFound, Unreachable
from guards.kube.ports import Clock, ManagementCluster, Object
from guards.run import OUTAGE_LIMIT
from guards.text import printable

REPORT = "report"
LOOK = 5.0
"""Seconds between two looks; a watch event wakes earlier."""
BLIND = "could not look"
_ENDED = ("Succeeded", "Failed", "Error")


@dataclass
class Follower:
    """One Workflow, told by name and UID. `tell` gets a line for every change."""

    cluster: ManagementCluster
    clock: Clock
    namespace: str
    name: str
    uid: str
    tell: Callable[[datetime, str], None]
    _shown: dict[str, str] = field(default_factory=dict)
    _blind_since: datetime | None = None

    def to_the_end(self, timeout: timedelta | None) -> Ending:
        """How the rollout ended. CLI_TIMEOUT when that takes longer than `timeout`: the run goes on."""
        started = self.clock.now()
        while True:
            found = self._look()
            if found is not None:
                return found
            left = LOOK if timeout is None else (started + timeout - self.clock.now()).total_seconds()
            if timeout is not None and left <= 0:
                return Ending(Exit.CLI_TIMEOUT, f"not ended within {format_duration(timeout)}; the run goes on")
            self.clock.wait(min(LOOK, left))

    def _look(self) -> Ending | None:
        try:
            workflow = self.cluster.get(WORKFLOW, self.namespace, self.name)
        except NotFound:
            return _unknown(f"Workflow {self.namespace}/{self.name} is gone")
        except Unreachable as error:
            return self._could_not(error)
        self._blind_since = None
        self._shown.pop(BLIND, None)
        if workflow["metadata"].get("uid") != self.uid:
            return _unknown(f"Workflow {self.namespace}/{self.name} is another one of the same name")
        for subject, state in states(workflow):
            self._show(subject, state)
        return ending(workflow)

    def _could_not(self, error: Unreachable) -> Ending | None:
        now = self.clock.now()
        self._blind_since = self._blind_since or now
        self._show(BLIND, f"{error}; trying again")
        if now - self._blind_since < OUTAGE_LIMIT:
            return None
        return Ending(Exit.UNREACHABLE, f"no look for {format_duration(OUTAGE_LIMIT)}: {error}; the run goes on")

    def _show(self, subject: str, state: str) -> None:
        if self._shown.get(subject) != state:
            self._shown[subject] = state
            self.tell(self.clock.now(), f"{subject:<15}{state}")


def states(workflow: Object) -> Iterator[tuple[str, str]]:
    """What can change, as (subject, state): the Workflow itself, then each step that has begun."""
    status = workflow.get("status") or {}
    yield "workflow", _state(status.get("phase") or "Pending", status.get("message"))
    for step in outcome.read_steps(workflow):
        # A skipped step's message is Argo's condition, spelled out: nothing a person needs.
        yield step.name, _state(step.phase, "" if step.phase == "Skipped" else step.message or step.summary)
    for node in _reports(workflow):
        yield REPORT, _state(node.get("phase") or "Pending", node.get("message"))


def ending(workflow: Object) -> Ending | None:
    """None while the Workflow runs. Its outcome is the report's; without one it is not established."""
    status = workflow.get("status") or {}
    phase, said = status.get("phase"), status.get("message") or "without a message"
    if phase not in _ENDED:
        return None
    reports = _reports(workflow)
    if not reports:
        return _unknown(f"the Workflow ended as {phase} ({said}) without its report")
    report = reports[-1]
    if report.get("phase") != "Succeeded":
        said = str(report.get("message") or "")
        return outcome.of_message(said) or _unknown(f"its report says {said!r}")
    if phase != "Succeeded":
        return _unknown(f"its report is good, but the Workflow ended as {phase} ({said})")
    return Ending(Exit.DONE, _summary(workflow))


def _unknown(why: str) -> Ending:
    return Ending(Exit.BUG, f"outcome not established: {why}. Next: python -m workflows plan")


def _summary(workflow: Object) -> str:
    told = [step.summary for step in outcome.read_steps(workflow) if step.summary]
    return told[-1] if told else "the rollout is done"


def _reports(workflow: Object) -> list[dict[str, Any]]:
    nodes = ((workflow.get("status") or {}).get("nodes") or {}).values()
    return [node for node in nodes if isinstance(node, dict) and node.get("templateName") == REPORT]


def _state(phase: str, message: str | None) -> str:
    text = " ".join((message or "").split())
    return f"{phase:<10} {printable(text, 300)}".rstrip()
