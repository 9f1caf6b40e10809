"""The verb `backstop`: start the runs whose event got lost. One look at each namespace, then it ends.

What cannot be read or created is told and makes it fail, but keeps nobody else's run from being started.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from guards.core.unattended import Answer, Judgement, Watched, judge
from guards.core.verdict import Ending
from guards.exits import Exit
from guards.journal import Journal
from guards.kube.access import TALOS_CONTROL_PLANE, WORKFLOW
from guards.kube.errors import Conflict, Forbidden, KubeError, Malformed, NotFound, NotServed, Unreachable, WentBack
from guards.kube.fields import instant, items, label, mapping, required, text, whole
from guards.kube.ports import Clock, ManagementCluster, Object
from guards.naming import CLUSTER_LABEL
from guards.parameters import Rounds
from guards.triggered import triggered_run

_CODES: dict[type[KubeError], Exit] = {
    Unreachable: Exit.UNREACHABLE,
    WentBack: Exit.UNREACHABLE,
    Forbidden: Exit.FORBIDDEN,
    NotServed: Exit.CONTRACT,
}
_NEXT = {
    Exit.UNREACHABLE: "the next round looks again",
    Exit.FORBIDDEN: "next: kubectl apply -k overlay/management/capi-rollout",
}


@dataclass(frozen=True, slots=True)
class Word:
    """What became of one TalosControlPlane or one namespace."""

    text: str
    exit: Exit = Exit.DONE
    started: bool = False


def run_backstop(cluster: ManagementCluster, clock: Clock, journal: Journal, rounds: Rounds) -> Ending:
    """Look at every namespace once. The exit code is that of the first thing that went wrong."""
    words = []
    for namespace in rounds.namespaces:
        for word in _namespace(cluster, clock, rounds, namespace):
            journal.line(clock.now(), word.text)
            words.append(word)
    return journal.end(clock.now(), _ending(words))


def _ending(words: list[Word]) -> Ending:
    wrong = [word for word in words if word.exit]
    told = [*wrong, *(word for word in words if word.started)]
    quiet = f"nothing to start: {'; '.join(word.text for word in words)}"
    return Ending(wrong[0].exit if wrong else Exit.DONE, "; ".join(word.text for word in told) or quiet)


def _namespace(cluster: ManagementCluster, clock: Clock, rounds: Rounds, namespace: str) -> Iterator[Word]:
    try:
        found = cluster.list(TALOS_CONTROL_PLANE, namespace, "", _read)
    except KubeError as error:
        yield _failed(f"TalosControlPlanes in {namespace}", error)
        return
    if not found:
        yield Word(f"no TalosControlPlane in namespace {namespace}")
    for watched in found:
        yield _one(cluster, clock, rounds, watched) if isinstance(watched, Watched) else _failed("unreadable", watched)


def _one(cluster: ManagementCluster, clock: Clock, rounds: Rounds, watched: Watched) -> Word:
    try:
        judgement = judge(watched, _exists(cluster, rounds.workflow_namespace, watched.run), clock.now())
        return _follow(cluster, rounds.workflow_namespace, watched, judgement)
    except KubeError as error:
        return _failed(str(watched), error)


def _follow(cluster: ManagementCluster, namespace: str, watched: Watched, judgement: Judgement) -> Word:
    said = f"{watched} {judgement.why}"
    if judgement.answer is Answer.UNKNOWN:
        where = f"--cluster {watched.cluster} --cluster-namespace {watched.namespace}"
        return Word(f"{said}; next: python -m workflows submit {where}", Exit.REFUSED)
    if judgement.answer is Answer.NOTHING:
        return Word(said)
    values = {
        "clusterName": watched.cluster,
        "clusterNamespace": watched.namespace,
        "tcpGeneration": str(watched.generation),
    }
    try:
        cluster.create(WORKFLOW, namespace, triggered_run(watched.run, namespace, values))
    except Conflict:
        return Word(f"{watched} has got its run {watched.run} meanwhile")
    return Word(f"{said}: started {watched.run}", started=True)


def _exists(cluster: ManagementCluster, namespace: str, name: str) -> bool:
    try:
        cluster.get(WORKFLOW, namespace, name)
    except NotFound:
        return False
    return True


def _failed(what: str, error: KubeError) -> Word:
    code = _CODES.get(type(error), Exit.REFUSED)
    following = _NEXT.get(code)
    return Word(f"{what}: {error}" + (f"; {following}" if following else ""), code)


def _read(item: Object) -> Watched | Malformed:
    """One TalosControlPlane; the error where it has no such shape, so that the others are still looked at."""
    try:
        generation = whole(item, "metadata", "generation")
        if not generation:
            raise Malformed(f"TalosControlPlane {text(item, 'metadata', 'name')}: metadata.generation is {generation}")
        return Watched(
            namespace=required(item, "metadata", "namespace"),
            name=required(item, "metadata", "name"),
            uid=required(item, "metadata", "uid"),
            generation=generation,
            cluster=label(item, CLUSTER_LABEL) or "",
            deleting=instant(item, "metadata", "deletionTimestamp") is not None,
            changed_at=_changed_at(item),
        )
    except Malformed as error:
        return error


def _changed_at(item: Object) -> datetime | None:
    """The newest time of a manager that owns a part of the spec: the spec has not been changed since.

    It may be later than the change: the same manager may have changed a label. status has entries of its own.
    """
    managers = items(item, "metadata", "managedFields")
    times = (instant(manager, "time") for manager in managers if _owns_spec(manager))
    return max((time for time in times if time is not None), default=None)


def _owns_spec(manager: Object) -> bool:
    return not text(manager, "subresource") and "f:spec" in mapping(manager, "fieldsV1")
