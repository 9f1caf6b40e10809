"""One file that an export changes: as a unified diff that `git apply` and `patch -p1` take, and as a write."""

import difflib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True)
class Change:
    """`old` is None where the file does not exist, `new` where it should not."""

    path: PurePosixPath
    old: str | None
    new: str | None

    @property
    def verb(self) -> str:
        if self.old is None:
            return "create"
        return "delete" if self.new is None else "update"

    def diff(self) -> str:
        """From what is there to what is exported; a file that is created or deleted has /dev/null on the other side."""
        before = "/dev/null" if self.old is None else f"a/{self.path}"
        after = "/dev/null" if self.new is None else f"b/{self.path}"
        return "".join(_ended(difflib.unified_diff(_lines(self.old), _lines(self.new), before, after)))

    def apply(self, root: Path) -> None:
        target = root / self.path
        if self.new is None:
            target.unlink()
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(self.new.encode())


def _lines(text: str | None) -> list[str]:
    r"""Ended by \n alone, as diff and patch count them: YAML text may hold other line separators."""
    return io.StringIO(text or "").readlines()


def _ended(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
