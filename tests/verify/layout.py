"""GitOps trees written down in one file each, with their broken twins beside the lines that break.

`=== PATH < PART … OLD=NEW` begins a file, made of layouts/PART.part; `=== PATH #~ TWIN` one that only the twin has.
`line  #~ TWIN: other` is another line in that twin (nothing after the colon: an empty one), where its rule must find
it; `line  #^ TWIN` is where, when that is another line. A twin is named `RULE` or `RULE.VARIANT`. The marks
themselves are not in the files.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent / "layouts"
_MARK = re.compile(r"(?:^|\s+)#([~^]) ([\w.-]+)(?:: ?(.*?))?(?=\s+#[~^] |$)")


@dataclass
class Twin:
    lines: dict[tuple[str, int], str] = field(default_factory=dict)
    """(path, line) -> the line instead."""
    expected: set[tuple[str, int]] = field(default_factory=set)
    files: set[str] = field(default_factory=set)


@dataclass
class Layout:
    name: str
    files: dict[str, list[str]] = field(default_factory=dict)
    twins: dict[str, Twin] = field(default_factory=dict)

    def written(self, folder: Path, twin: str = "") -> Path:
        """The tree, clean or as a twin."""
        change = self.twins[twin] if twin else Twin()
        only = {path for each in self.twins.values() for path in each.files} - change.files
        for path in self.files.keys() - only:
            lines = [change.lines.get((path, i), line) for i, line in enumerate(self.files[path], start=1)]
            target = folder / path.partition("@")[0]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text("\n".join(lines) + "\n")
        return folder

    def expected(self, twin: str) -> list[tuple[str, int]]:
        found = self.twins[twin].expected or set(self.twins[twin].lines)
        return sorted((path.partition("@")[0], line) for path, line in found)


def read(path: Path) -> Layout:
    layout = Layout(path.stem)
    current = ""
    for line in path.read_text().splitlines():
        if line.startswith("=== "):
            current = _begin(layout, line)
        elif current:
            _add(layout, current, line)
    return layout


def _begin(layout: Layout, line: str) -> str:
    head, _, twin = line[4:].partition(" #~ ")
    path, _, parts = head.partition(" < ")
    path = f"{path}@{twin}" if twin else path  # one file may be another one in each twin
    layout.files[path] = []
    if twin:
        layout.twins.setdefault(twin, Twin()).files.add(path)
    words = parts.replace("< ", "").split()
    old, new = next((word.split("=") for word in words if "=" in word), ("\0", ""))
    for part in (word for word in words if "=" not in word):
        for each in ["---"] * bool(layout.files[path]) + (FOLDER / f"{part}.part").read_text().splitlines():
            _add(layout, path, each.replace(old, new))
    return path


def _add(layout: Layout, path: str, line: str) -> None:
    marks = list(_MARK.finditer(line))
    plain = line[: marks[0].start()] if marks else line
    layout.files[path].append(plain)
    here = path, len(layout.files[path])
    indent = plain[: len(plain) - len(plain.lstrip())]
    for sign, name, other in (mark.groups() for mark in marks):
        twin = layout.twins.setdefault(name, Twin())
        if sign == "^":
            twin.expected.add(here)
        else:
            twin.lines[here] = indent + other if other else ""


LAYOUTS = {each.name: each for each in map(read, sorted(FOLDER.glob("*.layout")))}
