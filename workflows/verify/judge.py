"""Read a tree, apply every rule to it, and to what changed since a commit."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from workflows.verify.files import Commit, NoCommit, Worktree
from workflows.verify.findings import Finding, Level
from workflows.verify.rules import appliers, argo, changes, health, pools, references, secrets, waves
from workflows.verify.tree import Tree, load

Rule = Callable[[Tree], Iterator[Finding]]

OF_A_TREE: tuple[Rule, ...] = (
    pools.pools,
    waves.waves,
    health.health,
    references.references,
    argo.lock,
    argo.md_upsert,
    secrets.plaintext,
    secrets.build,
    appliers.namespaces,
    appliers.unread,
)
OF_A_CHANGE = (changes.immutable, changes.parallel)


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, in the order of files and lines, and how much was looked at."""

    findings: tuple[Finding, ...]
    files: int
    objects: int
    """Objects that rules are about."""
    unseen: str
    """Why changes since the commit were not verified; "" when they were."""

    def count(self, level: Level) -> int:
        return sum(1 for each in self.findings if each.level is level)


def judge(folder: str, since: str) -> Report:
    """Verify the tree at the folder; `since`: the commit whose changes are verified too."""
    tree = load(Worktree(), folder)
    found = [*tree.problems, *(each for rule in OF_A_TREE for each in rule(tree))]
    unseen = ""
    try:
        commit = Commit(folder, since)
    except NoCommit as error:
        unseen = str(error)
    else:
        with closing(commit):
            before = load(commit, folder)
        found += [each for rule in OF_A_CHANGE for each in rule(tree, before, since)]
    judged = {item.key for _, item in tree.applied if item.judged}
    return Report(tuple(_in_order(found)), len(tree.paths), len(judged), unseen)


def _in_order(found: list[Finding]) -> list[Finding]:
    """Each one once: a base that several overlays use is judged in each of them."""
    unique = dict.fromkeys(found)
    return sorted(unique, key=lambda each: (each.place, each.rule, each.text))
