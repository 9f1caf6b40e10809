"""The files of a tree, parsed once each; what cannot be parsed is a finding."""

import os

from workflows.kustomize import FILE_NAMES
from workflows.verify.files import Files, Unreadable
from workflows.verify.findings import Finding, finding
from workflows.verify.located import Node, NotYaml, Place, documents
from workflows.verify.objects import FLUX


class Sources:
    """Documents by file, and the findings about reading them."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.problems: list[Finding] = []
        self.used: set[str] = set()
        """Files that a kustomization lists in any way."""
        self._read: dict[str, list[Node] | None] = {}

    def documents(self, path: str) -> list[Node] | None:
        """None when there is no such file. What cannot be read is said once, and left out."""
        if path not in self._read:
            self._read[path] = self._parsed(path)
        return self._read[path]

    def inline(self, scalar: Node) -> list[Node]:
        """YAML inside a YAML scalar."""
        return self._all(str(scalar.value), scalar.place.path, scalar.place.line - (not scalar.block))

    def kustomization(self, folder: str) -> Node | None:
        for name in FILE_NAMES:
            found = self.documents(os.path.normpath(f"{folder}/{name}"))
            if found and isinstance(found[0].value, dict) and not found[0].text("apiVersion").startswith(FLUX):
                return found[0]
        return None

    def _parsed(self, path: str) -> list[Node] | None:
        try:
            text = self.files.text(path)
        except Unreadable as error:
            self._say(Place(path, 1), f"cannot be read ({error})")
            return []
        return None if text is None else self._all(text, path, 0)

    def _all(self, text: str, path: str, before: int) -> list[Node]:
        found: list[Node] = []
        try:
            found.extend(documents(text, path, before))
        except NotYaml as error:
            self._say(error.place, f"is not YAML: {error}")
        except RecursionError:
            self._say(Place(path, before + 1), "is nested too deeply to be read")
        return found

    def _say(self, place: Place, text: str) -> None:
        self.problems.append(finding("not-yaml", place.path, place, f"{text}; nothing after it is verified"))
