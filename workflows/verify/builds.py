"""What a kustomization would apply, with the place of every value: `kustomize build` keeps no places.

Custom resources only: that is all the rules are about. What is not followed here is a finding, never ignored.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from shlex import quote

from workflows.verify.findings import Finding, Level, finding, verify_what
from workflows.verify.located import Node, Place
from workflows.verify.objects import Object, objects_in
from workflows.verify.patches import NoFit
from workflows.verify.sources import Sources
from workflows.verify.transforms import Move, annotated, labelled, moved, patched, renamed

KSOPS = ("ksops", "viaduct.ai")
EXEC = "config.kubernetes.io/function"
CANNOT_FOLLOW = ("replacements", "vars", "transformers")
"""They may change any field of any object."""
ADD_UNSEEN = ("helmCharts", "helmChartInflationGenerator")
"""They add objects that are in no file of the tree."""


@dataclass
class Build:
    """One kustomization, or one folder of plain files, as it would be applied."""

    folder: str
    objects: list[Object] = field(default_factory=list)
    generators: list[Object] = field(default_factory=list)
    """ksops generators, the inherited ones included."""
    moves: list[Move] = field(default_factory=list)

    def add(self, other: "Build") -> None:
        self.objects += other.objects
        self.generators += other.generators
        self.moves += other.moves


class Builder:
    """Builds kustomizations of a tree. `problems`: what would make kustomize stop, and what is not followed."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.problems: list[Finding] = []
        self.parts: set[str] = set()
        """Folders that another kustomization uses."""
        self._built: dict[str, Build] = {}
        self._open: list[str] = []

    def build(self, folder: str) -> Build:
        """Of a folder with a kustomization. Each one is built, and its problems told, once."""
        if folder not in self._built:
            build = Build(folder)
            self._open.append(folder)
            self._accumulate(folder, build)
            self._open.pop()
            self._built[folder] = build
        return self._built[folder]

    def plain(self, folder: str, paths: list[str]) -> Build:
        """Of files that no kustomization is about."""
        found = [
            each for path in paths for document in self.sources.documents(path) or [] for each in objects_in(document)
        ]
        return Build(folder, found)

    def _accumulate(self, folder: str, build: Build) -> None:
        content = self.sources.kustomization(folder)
        if content is None:
            return
        for entry in (*content.items("resources"), *content.items("bases")):
            self._resource(folder, entry, build)
        for entry in content.items("components"):
            self._component(folder, entry, build)
        for entry in content.items("generators"):
            self._generator(folder, entry, build)
        build.objects += _config_maps(content)
        self._not_followed(content, build)
        self._transform(folder, content, build)

    def _resource(self, folder: str, entry: Node, build: Build) -> None:
        path = self._path(folder, entry)
        if path is None:
            return
        documents = self.sources.documents(path)
        if documents is not None:
            self.sources.used.add(path)
            build.objects += [each for document in documents for each in objects_in(document)]
        elif self._folder(path, entry):
            build.add(self.build(path))

    def _component(self, folder: str, entry: Node, build: Build) -> None:
        path = self._path(folder, entry)
        if path is not None and self._folder(path, entry):
            self._open.append(path)
            self._accumulate(path, build)
            self._open.pop()

    def _path(self, folder: str, entry: Node) -> str | None:
        text = str(entry.value)
        if "://" in text or "?ref=" in text or text.startswith(("github.com", "git@", "gitlab.com")):
            self._unread(entry.place, f"{text} is not on this disk; its objects are not verified", Level.WARNING)
            return None
        return os.path.normpath(f"{folder}/{text}")

    def _folder(self, path: str, entry: Node) -> bool:
        """Whether a folder can be entered; why not is said."""
        self.parts.add(path)
        if path in self._open:
            self._stop(entry.place, f"{entry.value} is a kustomization that contains itself")
            return False
        if self.sources.kustomization(path) is None:
            self._stop(entry.place, f"{entry.value} is neither a file nor a folder with a kustomization.yaml")
            return False
        return True

    def _generator(self, folder: str, entry: Node, build: Build) -> None:
        path = entry.place.path if entry.block else self._path(folder, entry)
        if path is None:
            return
        documents = self.sources.inline(entry) if entry.block else self.sources.documents(path)
        if documents is None:
            self._stop(entry.place, f"generator {entry.value} does not exist")
            return
        self.sources.used.add(path)
        for found in (each for document in documents for each in objects_in(document)):
            if (found.kind, found.group) == KSOPS:
                build.generators.append(found)
                self.sources.used.update(path for _, path in encrypted_files(found))
            else:
                self._unread(entry.place, f"generator {found}: what it makes is not verified", Level.WARNING)

    def _not_followed(self, content: Node, build: Build) -> None:
        judged = [each for each in build.objects if each.judged]
        for key in CANNOT_FOLLOW:
            if content.entries().get(key) and content.value[key].value and judged:
                names = ", ".join(str(each) for each in judged[:3])
                self._unread(content.value[key].place, f"{key} may change {names}: their values are not known here")
        for key in ADD_UNSEEN:
            if content.at(key):
                self._unread(content.value[key].place, f"{key}: what the charts hold is not verified", Level.WARNING)
        named = content.at("namePrefix") or content.at("nameSuffix")
        if named and content.at("configurations") and judged:
            self._unread(named.place, "with `configurations`, references may be renamed too: they are not known here")

    def _transform(self, folder: str, content: Node, build: Build) -> None:
        self._patch(folder, content.items("patchesStrategicMerge"), build)
        self._patch(folder, content.items("patches"), build)
        if namespace := content.at("namespace"):
            build.objects, moves = moved(build.objects, namespace)
            build.moves += moves
        prefix, suffix = content.text("namePrefix"), content.text("nameSuffix")
        if prefix or suffix:
            build.objects = [renamed(each, prefix, suffix) for each in build.objects]
        build.objects = [labelled(each, content) for each in build.objects]
        build.objects = [annotated(each, content) for each in build.objects]
        self._patch(folder, content.items("patchesJson6902"), build)

    def _patch(self, folder: str, entries: list[Node], build: Build) -> None:
        for entry in entries:
            for patch in self._patch_documents(folder, entry):
                try:
                    build.objects = patched(build.objects, entry.at("target"), patch)
                except NoFit as error:
                    self._stop(patch.place, f"the patch does not fit: {error}")

    def _patch_documents(self, folder: str, entry: Node) -> list[Node]:
        inline = entry.at("patch") if isinstance(entry.value, dict) else entry if entry.block else None
        if inline is not None:
            return self.sources.inline(inline)
        name = entry.text("path") if isinstance(entry.value, dict) else str(entry.value)
        path = os.path.normpath(f"{folder}/{name}")
        documents = self.sources.documents(path)
        if documents is None:
            self._stop(entry.place, f"patch {name} does not exist")
        self.sources.used.add(path)
        return documents or []

    def _stop(self, place: Place, text: str) -> None:
        self.problems.append(finding("build", place.path, place, text, next=f"kubectl kustomize {_folder_of(place)}"))

    def _unread(self, place: Place, text: str, level: Level = Level.ERROR) -> None:
        command = verify_what(f"kustomize build {_folder_of(place)}")
        self.problems.append(finding("unread", place.path, place, text, next=command, level=level))


def encrypted_files(generator: Object) -> Iterator[tuple[Node, str]]:
    """The entries of a ksops generator and the files they mean, beside the generator's own file."""
    folder = os.path.dirname(generator.root.place.path)
    lists = [generator.root, *generator.root.items("secretFrom")]
    for entry in (item for each in lists for key in ("files", "envs", "binaryFiles") for item in each.items(key)):
        yield entry, os.path.normpath(f"{folder}/{str(entry.value).rpartition('=')[2]}")


def _folder_of(place: Place) -> str:
    """For a command line."""
    return quote(os.path.dirname(place.path) or ".")


def _config_maps(content: Node) -> list[Object]:
    """ConfigMaps of `configMapGenerator`, as far as their keys go: Argo CD is configured that way too."""
    found = []
    for entry in content.items("configMapGenerator"):
        pairs = [str(each.value).partition("=") for key in ("literals", "files") for each in entry.items(key)]
        data = {os.path.basename(key): Node(value, entry.place) for key, _, value in pairs}
        body = {
            "apiVersion": Node("v1", entry.place),
            "kind": Node("ConfigMap", entry.place),
            "metadata": Node({"name": Node(entry.text("name"), entry.place)}, entry.place),
            "data": Node(data, entry.place),
        }
        found.append(Object(Node(body, entry.place)))
    return found
