"""Strategies and sizes, judged by the very functions that preflight asks of the live objects."""

from collections.abc import Iterator

from guards.core.model import Pool, Strategy
from guards.core.refusals import size_of, strategy_of
from guards.kube.access import MACHINE_DEPLOYMENT, TALOS_CONTROL_PLANE
from guards.kube.errors import Malformed
from guards.kube.fields import replicas
from guards.kube.rows import CONTROL_PLANE_STRATEGY, deployment_strategy_path, strategy
from guards.parameters import Scope
from workflows.verify.findings import Finding, finding
from workflows.verify.objects import Object
from workflows.verify.tree import Tree


def pools(tree: Tree) -> Iterator[Finding]:
    for _, item in tree.applied:
        if item.is_a(MACHINE_DEPLOYMENT) or item.is_a(TALOS_CONTROL_PLANE):
            yield from _pool(item)


def _pool(item: Object) -> Iterator[Finding]:
    workers = item.is_a(MACHINE_DEPLOYMENT)
    kind = MACHINE_DEPLOYMENT if workers else TALOS_CONTROL_PLANE
    if item.version not in kind.versions:
        expected = " or ".join(kind.versions)
        yield finding("malformed", item, item.place("apiVersion"), f"version is {item.version!r}, expected {expected}")
        return
    root = deployment_strategy_path(item.version) if workers else CONTROL_PLANE_STRATEGY
    try:
        pool = _written(item, strategy(item.plain, *root), Scope.WORKERS if workers else Scope.CONTROL_PLANE)
    except Malformed as error:
        text = str(error).partition(": ")[2]  # `spec.replicas is 'four', expected …`
        field = text.partition(" is ")[0].split(".")
        yield finding("malformed", item, item.place(*field), text)
        return
    for found in (*strategy_of(pool), *(size_of(pool, allow_two=False) if not workers else ())):
        where = {
            "strategy": (*root, "type"),
            "max-surge": (*root, "rollingUpdate", "maxSurge"),
            "max-unavailable": (*root, "rollingUpdate", "maxUnavailable"),
        }.get(found.rule, ("spec", "replicas"))
        yield finding(found.rule, item, item.place(*where), found.text.partition(": ")[2])


def _written(item: Object, how: Strategy, scope: Scope) -> Pool:
    """A pool as far as a file says it."""
    return Pool(
        kind=item.kind,
        name=item.name,
        uid="",
        scope=scope,
        generation=0,
        replicas=replicas(item.plain, "spec", "replicas"),
        strategy=how,
        paused=(),
        deleting=False,
        unfinished=(),
    )
