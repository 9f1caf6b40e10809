"""Which TalosControlPlanes have a live generation that never got its run: what the backstop goes by.

A run stands for RUN_KEPT after its end. So a generation that is younger and has no Workflow never had one: its event
got lost. Of an older one nobody can tell, and a run of it now could be one that a commit of workers alone has started:
it is left to a person.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from guards.naming import CLUSTER_LABEL, RUN_KEPT, triggered_workflow


class Answer(StrEnum):
    START = "start"
    NOTHING = "nothing to do"
    UNKNOWN = "unknown"
    """Whether it needs a run cannot be told: a person has to look."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One TalosControlPlane, as far as the trigger goes by it."""

    namespace: str
    name: str
    uid: str
    generation: int
    cluster: str
    """Its label; "" without one."""
    deleting: bool
    changed_at: datetime | None
    """Its spec has not changed since then. None where the API server does not tell."""

    @property
    def run(self) -> str:
        """Name of the Workflow of the live generation."""
        return triggered_workflow(self.name, self.uid, self.generation)

    def __str__(self) -> str:
        return f"TalosControlPlane {self.namespace}/{self.name} generation {self.generation}"


@dataclass(frozen=True, slots=True)
class Judgement:
    answer: Answer
    why: str


def judge(watched: Watched, has_run: bool, now: datetime) -> Judgement:
    """What to do about one TalosControlPlane. The Sensor leaves out the same ones."""
    if watched.deleting:
        return Judgement(Answer.NOTHING, "is being deleted")
    if not watched.cluster:
        return Judgement(Answer.NOTHING, f"has no label {CLUSTER_LABEL}, so no Cluster to supervise")
    if has_run:
        return Judgement(Answer.NOTHING, f"has its run {watched.run}")
    if watched.changed_at is None:
        return Judgement(Answer.UNKNOWN, "has no run, and no managedFields that tell when its spec was changed")
    if now - watched.changed_at >= RUN_KEPT:
        return Judgement(Answer.NOTHING, f"is older than {RUN_KEPT.days} days: a run of it would not be kept any more")
    return Judgement(Answer.START, f"has no run since {watched.changed_at:%Y-%m-%d %H:%M:%S} UTC")
