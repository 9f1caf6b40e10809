"""A GitOps tree: which files make which builds, and who applies them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from shlex import quote

from workflows.kustomize import FILE_NAMES
from workflows.verify.builds import Build, Builder
from workflows.verify.files import Files
from workflows.verify.findings import Finding, Level, finding, verify_what
from workflows.verify.located import Node, Place
from workflows.verify.objects import FLUX, Object, objects_in
from workflows.verify.sources import Sources

UPWARDS = 8
"""Folders above the given one in which a Flux path may begin."""


@dataclass
class Tree:
    folder: str
    paths: list[str]
    documents: list[Node]
    """Every document as it is written, patches and values of charts too."""
    builds: list[Build]
    problems: list[Finding]
    used: set[str]
    """Files that a kustomization lists."""
    kustomized: set[str]
    """Folders with a kustomization."""
    flux: dict[str, Object] = field(default_factory=dict)
    """Folder -> the Flux Kustomization that applies it; the others are applied by Argo CD."""

    @cached_property
    def written(self) -> list[Object]:
        """Every object as it is written."""
        return [item for document in self.documents for item in objects_in(document)]

    @cached_property
    def applied(self) -> list[tuple[Build, Object]]:
        """Every object as it would be applied; one in several builds comes several times."""
        return [(build, item) for build in self.builds for item in build.objects]

    def governed(self, path: str) -> bool:
        """Whether the file counts only when a kustomization lists it."""
        return any(folder in self.kustomized for folder in folders_above(path, self.folder))


def load(files: Files, folder: str) -> Tree:
    """Read everything at and below the folder, and what its kustomizations use outside of it."""
    sources = Sources(files)
    paths = list(files.under(folder))
    charts = {os.path.dirname(path) for path in paths if os.path.basename(path) == "Chart.yaml"}
    templates = [path for path in paths if any(path.startswith(f"{chart}/templates/") for chart in charts)]
    paths = [path for path in paths if path not in templates]
    documents = [each for path in paths for each in sources.documents(path) or []]
    builder = Builder(sources)
    kustomized = _kustomized(sources, paths)
    tree = Tree(folder, paths, documents, [], sources.problems, sources.used, kustomized)
    tree.flux = dict(_flux(tree))
    for root in _roots(sources, builder, kustomized):
        tree.builds.append(builder.build(root))
    tree.builds += [builder.plain(at, each) for at, each in _plain(tree).items()]
    tree.problems += builder.problems + [_chart(chart) for chart in sorted(charts)] + list(_unlisted(tree, sources))
    return tree


def folders_above(path: str, top: str) -> Iterator[str]:
    """The folder of the file and those above it, up to `top`."""
    at = os.path.dirname(path) or "."
    while True:
        yield at
        if at in (top, ".", "/", ""):
            return
        at = os.path.dirname(at) or "."


def _kustomized(sources: Sources, paths: list[str]) -> set[str]:
    named = {os.path.dirname(path) or "." for path in paths if os.path.basename(path) in FILE_NAMES}
    return {folder for folder in named if sources.kustomization(folder) is not None}


def _is_component(sources: Sources, folder: str) -> bool:
    content = sources.kustomization(folder)
    return content is not None and content.text("kind") == "Component"


def _roots(sources: Sources, builder: Builder, kustomized: set[str]) -> list[str]:
    """Kustomizations that no other one uses, or that Flux names: what is applied."""
    whole = sorted(folder for folder in kustomized if not _is_component(sources, folder))
    for folder in whole:
        builder.build(folder)
    return [folder for folder in whole if folder not in builder.parts]


def _flux(tree: Tree) -> Iterator[tuple[str, Object]]:
    """(folder, Kustomization). Its path begins at the root of a repository that we may be inside of."""
    folders = {at for path in tree.paths for at in folders_above(path, tree.folder)}
    for item in tree.written:
        if item.kind == "Kustomization" and item.group == FLUX:
            path = item.root.text("spec", "path")
            places = (os.path.normpath(f"{tree.folder}/{'../' * up}{path}") for up in range(UPWARDS))
            if found := next((at for at in places if at in folders), None):
                yield found, item


def _plain(tree: Tree) -> dict[str, list[str]]:
    """Folder -> the files that are applied as they are: those of a Flux path, and all others together."""
    found: dict[str, list[str]] = {}
    for path in tree.paths:
        if not tree.governed(path):
            by_flux = (at for at in folders_above(path, tree.folder) if at in tree.flux)
            found.setdefault(next(by_flux, tree.folder), []).append(path)
    return found


def _chart(chart: str) -> Finding:
    return finding(
        "unread",
        f"{chart}/templates",
        Place(f"{chart}/Chart.yaml", 1),
        "templates of a Helm chart are no YAML and are not verified",
        next=verify_what(f"helm template {quote(chart)}"),
        level=Level.WARNING,
    )


def _unlisted(tree: Tree, sources: Sources) -> Iterator[Finding]:
    for document in tree.documents:
        path = document.place.path
        if path in tree.used or not tree.governed(path):
            continue
        nearest = next(at for at in folders_above(path, tree.folder) if at in tree.kustomized)
        for item in objects_in(document):
            if item.judged and not _is_component(sources, nearest):
                text = f"is in no kustomization, expected in `resources` of {nearest}: nobody applies it"
                yield finding("unlisted", item, item.root.place, text, level=Level.WARNING)
