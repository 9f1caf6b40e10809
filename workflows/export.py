"""Write the exported files, or compare them byte by byte. A file without our header is somebody's own: untouched."""

import difflib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from workflows.overlay import HEADER, folders, rendered
from workflows.site import Site


class HandWritten(Exception):
    """A file of the export exists and was written by hand. Nothing was written at all."""

    def __init__(self, path: PurePosixPath) -> None:
        super().__init__(
            f"{path} was not generated (its first line is not ours) and is never overwritten. Nothing was written. "
            f"Move it away (git mv {path} {path.with_suffix('.mine.yaml')}), or, where the cluster's manifests are "
            "yours, leave `overlay` out in the site file; then export again."
        )
        self.path = path


@dataclass(frozen=True, slots=True)
class Change:
    """One file that differs from the export. Texts are None where the file does not (or should not) exist."""

    path: PurePosixPath
    old: str | None
    new: str | None

    @property
    def verb(self) -> str:
        if self.old is None:
            return "create"
        return "delete" if self.new is None else "update"

    def diff(self) -> str:
        """Unified, from what is there to what is exported."""
        lines = difflib.unified_diff(
            (self.old or "").splitlines(keepends=True),
            (self.new or "").splitlines(keepends=True),
            str(self.path),
            "exported",
        )
        return "".join(lines)


@dataclass(frozen=True, slots=True)
class Exported:
    """What export found: `changes` were made, or with `check` would have been."""

    files: tuple[PurePosixPath, ...]
    changes: tuple[Change, ...]


def export(site: Site, root: Path, check: bool = False) -> Exported:
    """Bring the files below `root` in line with the site. HandWritten is raised before anything is written."""
    texts = rendered(site)
    changes = tuple(_changes(site, root, texts))
    if not check:
        for change in changes:
            _apply(root, change)
    return Exported(tuple(texts), changes)


def _changes(site: Site, root: Path, texts: dict[PurePosixPath, str]) -> list[Change]:
    changes = []
    for path, new in texts.items():
        old = _read(root / path)
        if old is not None and not old.startswith(HEADER):
            raise HandWritten(path)
        if old != new:
            changes.append(Change(path, old, new))
    return changes + _left_over(site, root, texts)


def _left_over(site: Site, root: Path, texts: dict[PurePosixPath, str]) -> list[Change]:
    """Files of ours that this site no longer has."""
    there = (path for folder in folders(site) for path in sorted((root / folder).glob("*.yaml")))
    ours = ((PurePosixPath(path.relative_to(root).as_posix()), _read(path) or "") for path in there)
    return [Change(path, old, None) for path, old in ours if path not in texts and old.startswith(HEADER)]


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return None


def _apply(root: Path, change: Change) -> None:
    target = root / change.path
    if change.new is None:
        target.unlink()
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(change.new.encode())
