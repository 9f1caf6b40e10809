"""Every value knows its line, and whatever a file holds is read or said, never a crash."""

from pathlib import Path

import pytest

from tests.verify.layout import LAYOUTS
from workflows.verify.files import Commit, NoCommit, Worktree
from workflows.verify.judge import judge
from workflows.verify.located import Node, NotYaml, documents
from workflows.verify.tree import load

DEPLOYMENT = "apiVersion: cluster.x-k8s.io/v1beta2\nkind: MachineDeployment\nmetadata: {name: w}\n"


def one(text: str) -> Node:
    (found,) = documents(text, "f")
    return found


def test_lines_of_keys_items_and_of_what_is_absent() -> None:
    node = one("# note\na:\n  b:\n    - x\n    - y: 1\n  c: |\n    text\n")
    assert [node.place.line, node.at("a", "b", 1, "y").place.line] == [2, 5]  # type: ignore[union-attr]
    where, rest = node.nearest("a", "z", "q")
    assert (where.place.line, rest) == (2, ("z", "q"))
    assert node.at("a", "z") is None
    assert node.plain() == {"a": {"b": ["x", {"y": 1}], "c": "text\n"}}


def test_documents_that_are_empty_are_left_out_and_lines_go_on() -> None:
    assert [each.place.line for each in documents("---\n---\na: 1\n---\n# x\n---\nb: 1\n", "f")] == [3, 7]


def test_anchors_merges_and_dates() -> None:
    node = one("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\ne: 2026-01-01\n1: yes\n")
    assert node.plain() == {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}, "e": "2026-01-01", "1": True}


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\n\tb: 2\n", 2, ""),
        ("a: 1\nb: {c: 1\nd: 2\n", 2, "flow mapping"),
        ("a: 1\nb: 'x\n\n\n", 2, "quoted"),
        ("a: 1\nb: 2\na: 3\n", 3, "'a' is given twice"),
        ("a: &x [*x]\n", 1, "contains itself"),
        ("a: *nobody\n", 1, "undefined alias"),
        ("a: !!int x\n", 1, "invalid literal"),
        ("a: 1\nb: \x00\n", 2, ""),
        ("{{ .Values.x }}\n", 1, "no text"),
    ],
)
def test_what_is_not_yaml(text: str, line: int, said: str) -> None:
    with pytest.raises(NotYaml) as caught:
        list(documents(text, "f"))
    assert (caught.value.place.line, said in str(caught.value)) == (line, True), caught.value


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"\xff\xfe", "not-yaml"),
        (b"[" * 5000, "not-yaml"),
        (b"- just\n- a list\n", ""),
        (b"42\n", ""),
        (b"kind: 7\napiVersion: [x]\nmetadata: text\n", ""),
        (b"apiVersion: cluster.x-k8s.io/v1beta2\nkind: MachineDeployment\nmetadata: 3\nspec: [x]\n", "malformed"),
        (b"apiVersion: cluster.x-k8s.io/v1\nkind: MachineDeployment\nmetadata: {name: w}\n", "malformed"),
        (b"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: {a: b}\npatches: 3\n", ""),
        (b"apiVersion: v1\nkind: List\nitems: [3, {kind: Secret, apiVersion: v1, data: 3}]\n", ""),
    ],
)
@pytest.mark.parametrize("name", ["x.yaml", "kustomization.yaml"])
def test_anything_may_be_in_a_file(name: str, content: bytes, rule: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    rules = {each.rule for each in judge(str(tmp_path), "HEAD").findings}
    assert rule in rules | {""} or name == "kustomization.yaml"


def test_an_unreadable_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").symlink_to("x.yaml")
    (found,) = judge(str(tmp_path), "HEAD").findings
    assert (found.rule, "cannot be read" in found.text) == ("not-yaml", True)


def test_hidden_folders_and_charts_are_left_out_and_charts_are_said(tmp_path: Path) -> None:
    for path, text in {
        ".git/a.yaml": "{{",
        "chart/Chart.yaml": "name: x",
        "chart/templates/a.yaml": "{{ .x }}",
        "m.yml": DEPLOYMENT,
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    tree = load(Worktree(), str(tmp_path))
    assert [Path(path).name for path in tree.paths] == ["m.yml", "Chart.yaml"]
    assert [each.rule for each in tree.problems] == ["unread"]


def test_without_a_commit_to_compare_with_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(DEPLOYMENT)
    with pytest.raises(NoCommit, match="not a git repository"):
        Commit(str(tmp_path), "HEAD")
    assert "not a git repository" in judge(str(tmp_path), "HEAD").unseen


def tree_of(folder: Path, files: dict[str, str]) -> list[tuple[str, str, str]]:
    """(rule, level, object) of what is found."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return [(each.rule, str(each.level), each.object) for each in judge(str(folder), "HEAD").findings]


def test_a_health_override_that_cannot_be_seen_is_a_warning(tmp_path: Path) -> None:
    text = LAYOUTS["plain"].written(tmp_path / "all") / "home/cluster.yaml"
    only = tree_of(tmp_path / "one", {"cluster.yaml": text.read_text()})
    assert {each[:2] for each in only} == {("health-override", "warning")}


FLUX = """
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: between}
spec: {path: between, dependsOn: [{name: workers}]}
"""


def test_flux_depends_on_what_its_dependencies_depend_on(tmp_path: Path) -> None:
    layout = LAYOUTS["flux"].written(tmp_path)
    steps = layout / "clusters/mgmt/machines.yaml"
    between = steps.read_text().replace("dependsOn: [{name: workers}]", "dependsOn: [{name: between}]")
    found = tree_of(layout, {
        "clusters/mgmt/machines.yaml": between,
        "clusters/mgmt/between.yaml": FLUX,
        "between/x.yaml": "a: 1\n",
    })  # fmt: skip
    assert found == []
