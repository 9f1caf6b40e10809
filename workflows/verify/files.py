"""Where texts come from: the working tree, or a commit. Paths are as the worktree has them, written from here."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

SUFFIXES = (".yaml", ".yml")


class Unreadable(Exception):
    """A file that is there and is no text."""


class Files(Protocol):
    """A tree of text files."""

    def text(self, path: str) -> str | None:
        """None when there is no such file. Raises Unreadable."""

    def under(self, folder: str) -> Iterator[str]:
        """YAML files at and below a folder, in order; nothing below a folder whose name begins with a dot."""


class Worktree:
    """Files as they are on disk."""

    def text(self, path: str) -> str | None:
        try:
            return Path(path).read_bytes().decode("utf-8-sig")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise Unreadable(error.strerror if isinstance(error, OSError) else "not UTF-8 text") from error

    def under(self, folder: str) -> Iterator[str]:
        for at, folders, names in os.walk(folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield from (os.path.normpath(f"{at}/{name}") for name in sorted(names) if _is_yaml(name))


def _is_yaml(name: str) -> bool:
    return name.endswith(SUFFIXES) or name == "Kustomization"


class NoCommit(Exception):
    """There is nothing to compare with. The text says why."""


class Commit:
    """Files of a commit of the repository that holds `folder`."""

    def __init__(self, folder: str, name: str) -> None:
        """Raises NoCommit."""
        top = _git(folder, "rev-parse", "--show-toplevel").strip()
        self.name = name
        self._top = os.path.realpath(top)
        self._commit = _git(folder, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()
        names = _git(self._top, "ls-tree", "-r", "-z", "--name-only", self._commit)
        self._names = {name for name in names.split("\0") if name}
        self._process: subprocess.Popen[bytes] | None = None

    def text(self, path: str) -> str | None:
        name = self._inside(path)
        if name not in self._names:
            return None
        stdin, stdout = self._batch()
        stdin.write(f"{self._commit}:{name}\n".encode())
        stdin.flush()
        size = int(stdout.readline().split()[-1])
        content = stdout.read(size + 1)[:-1]
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Unreadable("not UTF-8 text") from error

    def under(self, folder: str) -> Iterator[str]:
        root = self._inside(folder)
        for name in sorted(self._names):
            inside = root == "." or name.startswith(f"{root}/")
            if inside and _is_yaml(os.path.basename(name)) and not _hidden(os.path.relpath(name, root)):
                yield os.path.relpath(f"{self._top}/{name}")

    def _inside(self, path: str) -> str:
        return os.path.relpath(os.path.realpath(path), self._top)

    def _batch(self) -> tuple[IO[bytes], IO[bytes]]:
        if self._process is None:
            command = ("git", "-C", self._top, "cat-file", "--batch")
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate()


def _hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/")[:-1])


def _git(folder: str, *arguments: str) -> str:
    try:
        done = subprocess.run(("git", "-C", folder, *arguments), capture_output=True, text=True, check=False)  # noqa: S603, S607
    except FileNotFoundError as error:
        raise NoCommit("git is not on PATH") from error
    if done.returncode:
        raise NoCommit(f"git {arguments[0]}: {done.stderr.strip() or arguments[-1]}".splitlines()[0])
    return done.stdout
