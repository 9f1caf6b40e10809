"""In which order things are applied.

Argo CD applies wave by wave. It knows no health of a TalosConfigTemplate or a TalosControlPlane, so their waves pass
after two seconds; what the wave of a MachineDeployment waits for is the matter of `health`. Two Applications have no
order. Flux applies the objects of one Kustomization at once, and orders several by `dependsOn`.
"""

from collections.abc import Iterator

from guards.kube.access import MACHINE_DEPLOYMENT, TALOS_CONTROL_PLANE
from workflows.manifests import SYNC_WAVE
from workflows.verify.findings import Finding, Level, finding
from workflows.verify.objects import Object
from workflows.verify.rules.pairs import Applied, depends, number, pairs, wave
from workflows.verify.tree import Tree

WHY = {
    TALOS_CONTROL_PLANE.name: "its change starts the run, which must find the workers' objects applied",
    MACHINE_DEPLOYMENT.name: "its machines are made from that template",
}


def waves(tree: Tree) -> Iterator[Finding]:
    for build, item in tree.applied:
        written = item.annotation(SYNC_WAVE)
        if written is not None and item.judged and number(written) is None and build.folder not in tree.flux:
            text = f"sync wave is {written.value!r}, must be a whole number in quotes"
            yield finding("waves", item, written.place, text)
    for first, then in pairs(tree):
        yield from _in_order(tree, first, then)


def _in_order(tree: Tree, first: Applied, then: Applied) -> Iterator[Finding]:
    of_first, of_then = tree.flux.get(first[0].folder), tree.flux.get(then[0].folder)
    if of_first is not None and of_then is not None:
        yield from _flux_order(tree, first[1], of_first, then[1], of_then)
    elif first[0] is not then[0]:
        yield _apart(first[1], then[1])
    else:
        yield from _wave_order(first[1], then[1])


def _wave_order(first: Object, then: Object) -> Iterator[Finding]:
    early, late = wave(first), wave(then)
    if early is None or late is None or early < late:  # kinds of one wave have no order of their own
        return
    if first.annotation(SYNC_WAVE) is None:
        text = f"has no sync wave, which means 0, must be earlier than {late}, the wave of {then}: {WHY[then.kind]}"
        yield finding("waves", first, first.place("metadata", "annotations", SYNC_WAVE), text)
    else:
        text = f"sync wave is {late}, must be later than {early}, the wave of {first}: {WHY[then.kind]}"
        yield finding("waves", then, then.place("metadata", "annotations", SYNC_WAVE), text)


def _apart(first: Object, then: Object) -> Finding:
    text = (
        f"is applied by another kustomization than {first}, should be by the same: sync waves order nothing between "
        f"two Applications, and {WHY[then.kind]}"
    )
    return finding("waves", then, then.place("metadata", "annotations", SYNC_WAVE), text, level=Level.WARNING)


def _flux_order(tree: Tree, first: Object, of_first: Object, then: Object, of_then: Object) -> Iterator[Finding]:
    if of_first is not of_then and not depends(tree, of_then, of_first):
        text = f"applies {then}, must have {of_first.name} in dependsOn, which applies {first}: {WHY[then.kind]}"
        yield finding("waves", of_then, of_then.place("spec", "dependsOn"), text)
