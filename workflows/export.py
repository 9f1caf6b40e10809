"""Write the exported files beside the user's, or compare them byte by byte. What has not our header is never touched.

A kustomization of the user's is read, and what it lacks is said: the lines to add, and those that name a file which is
not there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import yaml

from workflows import kustomize, yamls
from workflows.changes import Change
from workflows.manifests import Manifest
from workflows.overlay import HEADER, KUSTOMIZATION, folders, kustomizations, rendered, starters
from workflows.site import Image, Site

Theirs = dict[PurePosixPath, tuple[PurePosixPath, Manifest]]
"""Path where a kustomization of ours would be -> (path, content) of the user's own in that folder."""


class HandWritten(Exception):
    """A file of the export exists and was written by hand. Nothing was written at all."""

    def __init__(self, path: PurePosixPath) -> None:
        super().__init__(
            f"{path} was not generated (its first line is not ours) and is never overwritten. Nothing was written. "
            f"Move it away (git mv {path} {path.with_suffix('.mine.yaml')}), or, where the cluster's manifests are "
            "yours, leave `overlay` out in the site file; then export again."
        )
        self.path = path


class Unreadable(Exception):
    """A kustomization of the user's cannot be read, so nobody knows what it lacks. Nothing was written at all."""

    def __init__(self, path: PurePosixPath, reason: str) -> None:
        super().__init__(f"{path}: {reason}. Nothing was written. Mend it, then export again.")


@dataclass(frozen=True, slots=True)
class Todo:
    """What the user has to edit in a kustomization of theirs: entries under the keys that kustomize knows."""

    path: PurePosixPath
    add: Manifest
    remove: Manifest

    def text(self) -> str:
        """As one reads it: the file, and the lines as they stand in it."""
        parts = [f"{self.path} is yours and lacks:\n{yamls.dump(self.add)}"] if self.add else []
        if self.remove:
            parts.append(f"{self.path} is yours and names files that are not there:\n{yamls.dump(self.remove)}")
        return "".join(parts)


@dataclass(frozen=True, slots=True)
class Exported:
    """What export found: `changes` were made, or with `check` would have been; `todos` are left to the user."""

    files: tuple[PurePosixPath, ...]
    changes: tuple[Change, ...]
    todos: tuple[Todo, ...]
    notes: tuple[str, ...]
    """Worth knowing, nothing to do about for the export itself."""


def export(site: Site, root: Path, check: bool = False) -> Exported:
    """Bring the files below `root` in line with the site. Raises HandWritten and Unreadable before it writes at all."""
    theirs = dict(_theirs(site, root))
    texts = {path: text for path, text in (rendered(site) | starters(site)).items() if path not in theirs}
    changes = (*_changes(root, texts), *_left_over(site, root, texts))
    gone = {change.path for change in changes if change.new is None}
    files = {path for folder in folders(site) for path in _files(root, folder)} | texts.keys()
    if not check:
        for change in changes:
            change.apply(root)
    todos = tuple(_todos(site, theirs, files - gone))
    return Exported(tuple(texts), changes, todos, tuple(_notes(site, theirs)))


def _theirs(site: Site, root: Path) -> Iterator[tuple[PurePosixPath, tuple[PurePosixPath, Manifest]]]:
    for ours in kustomizations(site):
        for name in kustomize.FILE_NAMES:
            path = ours.with_name(name)
            text = _read(root / path)
            if text is not None and not (name == KUSTOMIZATION and text.startswith(HEADER)):
                yield ours, (path, _content(path, text))


def _content(path: PurePosixPath, text: str) -> Manifest:
    try:
        content = yamls.load(text)
    except yaml.YAMLError as error:
        raise Unreadable(path, f"not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise Unreadable(path, f"seen {type(content).__name__}, expected a kustomization: keys like `resources:`")
    return content


def _changes(root: Path, texts: dict[PurePosixPath, str]) -> list[Change]:
    changes = []
    for path, new in texts.items():
        old = _read(root / path)
        if old is not None and not old.startswith(HEADER):
            raise HandWritten(path)
        if old != new:
            changes.append(Change(path, old, new))
    return changes


def _left_over(site: Site, root: Path, texts: dict[PurePosixPath, str]) -> list[Change]:
    """Files of ours that this site no longer has."""
    there = (path for folder in folders(site) for path in _files(root, folder))
    ours = ((path, _read(root / path) or "") for path in there if path.suffix == ".yaml")
    return [Change(path, old, None) for path, old in ours if path not in texts and old.startswith(HEADER)]


def _todos(site: Site, theirs: Theirs, files: set[PurePosixPath]) -> Iterator[Todo]:
    """`files`: what is there once the export is written."""
    wanted = kustomizations(site)
    for ours, (path, content) in theirs.items():
        beside = {each.name for each in files if each.parent == path.parent}
        todo = Todo(path, kustomize.lacking(wanted[ours], content), kustomize.dangling(content, beside))
        if todo.add or todo.remove:
            yield todo


def _notes(site: Site, theirs: Theirs) -> Iterator[str]:
    for path, content in theirs.values():
        for entry in kustomize.pins(content, site.image.name):
            yield from _about_the_pin(path, entry, site.image)


def _about_the_pin(path: PurePosixPath, entry: Manifest, image: Image) -> Iterator[str]:
    if "newTag" in entry and "digest" in entry:
        yield (
            f"{path} pins {image.name} by newTag and by digest: Renovate skips such an entry. "
            f'Write one: newTag: "{entry["newTag"]}@{entry["digest"]}"'
        )
    elif entry != kustomize.pin(image):
        yield (
            f"{path} pins {image.name} at {entry.get('newTag') or entry.get('digest')}, which wins over "
            f"{kustomize.pin(image)['newTag']} of the site file"
        )


def _files(root: Path, folder: PurePosixPath) -> list[PurePosixPath]:
    """Relative to the root."""
    there = (path for path in sorted((root / folder).glob("*")) if path.is_file())
    return [PurePosixPath(path.relative_to(root).as_posix()) for path in there]


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return None
