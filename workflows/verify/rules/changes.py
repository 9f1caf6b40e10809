"""What a commit changes that must not change, or not together: the tree as it is against the tree as it was."""

from collections.abc import Iterator
from shlex import quote

from guards.core.refusals import in_parallel
from guards.kube.access import MACHINE_DEPLOYMENT, TALOS_CONFIG_TEMPLATE
from guards.kube.rows import rollout_after_path
from workflows.verify.findings import Finding, finding
from workflows.verify.located import Node, Place
from workflows.verify.objects import Object
from workflows.verify.rules.references import CONFIG, INFRASTRUCTURE, TEMPLATE, cluster_of
from workflows.verify.tree import Tree

ROLLS = (
    (*TEMPLATE, "version"),
    (*CONFIG, "kind"),
    (*CONFIG, "name"),
    (*INFRASTRUCTURE, "kind"),
    (*INFRASTRUCTURE, "name"),
    (*TEMPLATE, "failureDomain"),
)
"""Fields of a MachineDeployment whose change replaces its machines; everything else is updated in place."""


def immutable(tree: Tree, before: Tree, since: str) -> Iterator[Finding]:
    """A changed template is refused by its webhook; without one, old and new machines would differ silently."""
    for item, old in _both(tree, before):
        if item.is_a(TALOS_CONFIG_TEMPLATE) or item.is_machine_template:
            change = _difference(item.root.at("spec"), old.root.at("spec"), "spec", item.place("spec"))
            if change is not None:
                field, place = change
                text = f"{field} differs from {since}, must not: the object is immutable; give it a new name"
                yield finding("immutable", item, place, text, next=f"git diff {quote(since)} -- {quote(place.path)}")


def parallel(tree: Tree, before: Tree, since: str) -> Iterator[Finding]:
    """Each MachineDeployment has a budget of its own in Cluster API."""
    changed: dict[tuple[str, str], list[tuple[Object, Place]]] = {}
    for item, old in _both(tree, before):
        if item.is_a(MACHINE_DEPLOYMENT) and (field := _rolls(item, old)):
            changed.setdefault((item.namespace, cluster_of(item)), []).append((item, item.place(*field)))
    for found in changed.values():
        names = [item.name for item, _ in found]
        if len(names) > 1:
            text = in_parallel(names, f"change since {since}", 1).text
            for item, place in found:
                command = f"git diff {quote(since)} -- {quote(place.path)}"
                yield finding("parallel-deployments", item, place, text, next=command)


def _rolls(item: Object, old: Object) -> tuple[str, ...] | None:
    """The first field that makes it roll."""
    after = [(rollout_after_path(each.version), each) for each in (item, old)]
    if after[0][1].root.text(*after[0][0]) != after[1][1].root.text(*after[1][0]):
        return after[0][0]
    return next((field for field in ROLLS if item.root.text(*field) != old.root.text(*field)), None)


def _both(tree: Tree, before: Tree) -> Iterator[tuple[Object, Object]]:
    """Objects that are in both trees, in the build of the same folder where there are several."""
    was = {(build.folder, item.key): item for build, item in before.applied}
    anywhere = {item.key: item for _, item in before.applied}
    for build, item in tree.applied:
        old = was.get((build.folder, item.key)) or anywhere.get(item.key)
        if old is not None:
            yield item, old


def _difference(new: Node | None, old: Node | None, field: str, place: Place) -> tuple[str, Place] | None:
    """Path and place of the first difference; values stay untold, for they may be secret."""
    if new is None or old is None or type(new.value) is not type(old.value):
        both_absent = (new is None or new.value is None) and (old is None or old.value is None)
        return None if both_absent else (field, new.place if new else place)
    if isinstance(new.value, dict):
        for key in (*new.value, *(key for key in old.value if key not in new.value)):
            found = _difference(new.value.get(key), old.value.get(key), f"{field}.{key}", new.place)
            if found is not None:
                return found
        return None
    if isinstance(new.value, list):
        for i, (one, other) in enumerate(zip(new.value, old.value, strict=False)):
            if (found := _difference(one, other, f"{field}[{i}]", new.place)) is not None:
                return found
        return None if len(new.value) == len(old.value) else (field, new.place)
    return None if new.value == old.value else (field, new.place)
