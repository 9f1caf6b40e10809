"""What we take a kustomization to be is what kustomize makes of it (where kubectl is on PATH), and what it stops at."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.verify.layout import LAYOUTS
from workflows.verify.builds import Builder
from workflows.verify.files import Worktree
from workflows.verify.findings import Finding
from workflows.verify.objects import Object
from workflows.verify.sources import Sources

KUSTOMIZED = [
    ("kustomize", "overlays/home"),
    ("patches", "lab"),
    ("patches", "argocd"),
    ("single", "management/homelab"),
    ("clusters", "clusters/south"),
    ("flux", "machines/workers"),
]


def built(folder: Path) -> tuple[list[Object], list[Finding]]:
    builder = Builder(Sources(Worktree()))
    return builder.build(str(folder)).objects, builder.problems


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on PATH")
@pytest.mark.parametrize(("name", "folder"), KUSTOMIZED)
def test_a_build_is_the_one_of_kustomize(name: str, folder: str, tmp_path: Path) -> None:
    root = LAYOUTS[name].written(tmp_path) / folder
    command = ("kubectl", "kustomize", str(root))
    real = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    ours = {item.key: item.plain for item in built(root)[0]}
    assert {key_of(each): each for each in yaml.safe_load_all(real)} == ours


def key_of(plain: dict[str, object]) -> tuple[str, ...]:
    metadata = plain["metadata"]
    assert isinstance(metadata, dict)
    group = str(plain["apiVersion"]).rpartition("/")[0]
    return group, str(plain["kind"]), metadata.get("namespace", ""), metadata["name"]


BASE = {
    "base.yaml": "apiVersion: cluster.x-k8s.io/v1beta2\nkind: MachineDeployment\nmetadata: {name: w}\nspec: {a: [1]}\n"
}


@pytest.mark.parametrize(
    ("kustomization", "said"),
    [
        ("resources: [gone.yaml]", "gone.yaml is neither a file nor a folder"),
        ("resources: [.]", "contains itself"),
        ("resources: [https://example.org/x.yaml]", "not on this disk"),
        ("resources: [github.com/org/repo//base?ref=v1]", "not on this disk"),
        ("generators: [gone.yaml]", "generator gone.yaml does not exist"),
        ("patches: [{path: gone.yaml}]", "patch gone.yaml does not exist"),
        ("helmCharts: [{name: x}]", "what the charts hold is not verified"),
        ("resources: [base.yaml]\nnamePrefix: a-\nconfigurations: [x.yaml]", "references may be renamed"),
        ("resources: [base.yaml]\nvars: [{name: x}]", "vars may change MachineDeployment w"),
        ("resources: [base.yaml]\npatches: [{patch: '{kind: X, metadata: {name: x}}'}]", "there is no X x to patch"),
        ("resources: [base.yaml]\npatches: [{patch: '[{op: add, path: /a}]'}]", "there is no target"),
        ("resources: [base.yaml]\npatches: [{target: {name: '('}, patch: '[]'}]", "no regular expression"),
        ("resources: [base.yaml]\npatches: [{target: {labelSelector: a in (b)}, patch: '[]'}]", "can follow"),
        ("resources: [base.yaml]\npatches: [{target: {}, patch: '[{op: move, path: /a}]'}]", "'move'"),
        ("resources: [base.yaml]\npatches: [{target: {}, patch: '[{op: remove, path: /spec/b}]'}]", "nothing at 'b'"),
        (
            "resources: [base.yaml]\npatches: [{target: {}, patch: '[{op: replace, path: /spec/a/1, value: 0}]'}]",
            "no item",
        ),
        ("resources: [base.yaml]\npatches: [{target: {}, patch: just text}]", "neither an object nor"),
    ],
)
def test_what_cannot_be_built_or_followed_is_said(kustomization: str, said: str, tmp_path: Path) -> None:
    for name, text in (BASE | {"kustomization.yaml": kustomization}).items():
        (tmp_path / name).write_text(text)
    problems = built(tmp_path)[1]
    assert len(problems) == 1
    assert said in problems[0].text


@pytest.mark.parametrize(
    ("patch", "spec"),
    [
        ("patch: '[{op: add, path: /spec/a/-, value: 2}]'", {"a": [1, 2]}),
        ("patch: '[{op: add, path: /spec/a/0, value: 0}]'", {"a": [0, 1]}),
        ("patch: '[{op: replace, path: /spec/a/0, value: null}]'", {"a": [None]}),
        ("patch: '[{op: remove, path: /spec/a/0}, {op: test, path: /x, value: 1}]'", {"a": []}),
        ("patch: '[{op: add, path: /spec/x~1y~0, value: {b: 1}}]'", {"a": [1], "x/y~": {"b": 1}}),
        ("patch: '{kind: X, metadata: {name: z}, spec: {a: null, b: 1}}'", {"b": 1}),
        ("patch: '{spec: {$patch: replace, c: 1}}'", {"c": 1}),
        ("patch: '{spec: {$patch: delete}}'", None),
        ("patch: '{spec: {a: [2]}}', target: {name: other}", {"a": [1]}),
        ("patch: '{spec: {a: [2]}}', target: {annotationSelector: x=y}", {"a": [1]}),
        ("patch: '{spec: {a: [2]}}', target: {labelSelector: 'x!=y'}", {"a": [2]}),
    ],
)
def test_patches(patch: str, spec: object, tmp_path: Path) -> None:
    target = "" if "target" in patch else ", target: {name: w}"
    (tmp_path / "base.yaml").write_text(BASE["base.yaml"])
    (tmp_path / "kustomization.yaml").write_text(f"resources: [base.yaml]\npatches: [{{{patch}{target}}}]")
    items, problems = built(tmp_path)
    assert (items[0].plain.get("spec"), problems) == (spec, [])


def test_a_patch_can_delete_the_object_and_names_get_their_prefix(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(BASE["base.yaml"])
    kustomization = "resources: [base.yaml]\nnamePrefix: a-\nnameSuffix: -b\nlabels: [{pairs: {x: y}}]\n"
    (tmp_path / "kustomization.yaml").write_text(kustomization)
    (item,), _ = built(tmp_path)
    assert (item.name, item.label("x")) == ("a-w-b", "y")
    (tmp_path / "kustomization.yaml").write_text(
        f"{kustomization}patches: [{{patch: '{{$patch: delete}}', target: {{name: w}}}}]"
    )
    assert built(tmp_path) == ([], [])
