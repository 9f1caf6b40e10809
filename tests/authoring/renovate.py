"""What Renovate's kustomize manager does with a file, as its documentation and its messages tell it. NOT Renovate.

Rebuilt here, from docs.renovatebot.com/modules/manager/kustomize and its debug message "Pick one, or use `newTag:
tag@digest`": which files it reads without any configuration, what it takes from an entry of `images:`, that it skips
an entry with both fields, and that an update replaces exactly the text it took. Not shown: registries, pull requests.
Compared by hand with the extraction of Renovate 39.264.1: the same version, digest and replaced text, the same skip.
"""

import re
from dataclasses import dataclass

import yaml

MATCHED = re.compile(r"(^|/)kustomization\.ya?ml$")
"""The manager's default managerFilePatterns."""


@dataclass(frozen=True)
class Dependency:
    name: str
    version: str
    digest: str | None
    replaced: str
    """The text in the file that an update replaces; empty where the entry is skipped."""


def found(path: str, text: str) -> list[Dependency]:
    """The images that Renovate would look up, skipped ones left out."""
    if not MATCHED.search(path):
        return []
    entries = yaml.safe_load(text).get("images", [])
    return [found for entry in entries if (found := _image(entry)) and found.replaced]


def _image(entry: dict[str, str]) -> Dependency | None:
    name, tag, digest = entry.get("newName", entry["name"]), entry.get("newTag"), entry.get("digest")
    if tag and digest:
        return Dependency(name, tag, digest, "")  # skipReason: invalid-dependency-specification
    if tag is None:
        return None
    version, _, pinned = tag.partition("@")
    return Dependency(name, version, pinned or None, tag)


def bumped(text: str, dependency: Dependency, version: str, digest: str | None) -> str:
    """The file after an update: the text that was taken, and nothing else, is replaced."""
    assert text.count(dependency.replaced) == 1, "Renovate would have to guess which one"
    return text.replace(dependency.replaced, version + (f"@{digest}" if digest else ""))
