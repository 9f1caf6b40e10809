"""A run of looks through the shipped decisions: `take_in` and `decide`, look after look."""

from collections.abc import Iterable

from guards.core.decide import decide, take_in
from guards.core.memory import Memory
from guards.core.model import Snapshot
from guards.core.verdict import Verdict
from guards.parameters import Parameters, Scope


def watch(snapshots: Iterable[Snapshot], parameters: Parameters, scope: Scope) -> list[Verdict]:
    """The verdict of every look, up to and including the one that ends the step."""
    verdicts: list[Verdict] = []
    memory: Memory | None = None
    for snapshot in snapshots:
        memory = take_in(memory or Memory(started_at=snapshot.taken_at), snapshot, parameters)
        verdicts.append(decide(snapshot, memory, parameters, scope))
        if verdicts[-1].exit is not None:
            break
    return verdicts


def last(snapshots: Iterable[Snapshot], parameters: Parameters, scope: Scope) -> Verdict:
    return watch(snapshots, parameters, scope)[-1]


def rules(verdict: Verdict) -> set[str]:
    """Rules named in the sentence and in the findings."""
    named = {finding.rule for finding in verdict.findings}
    return named | {part.split("]")[0] for part in verdict.sentence.split("[")[1:]}
