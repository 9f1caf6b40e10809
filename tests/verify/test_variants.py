"""Smaller matters, each as one edit of a clean tree, and what is found then."""

from pathlib import Path

import pytest

from tests.verify.layout import LAYOUTS
from workflows.verify.judge import judge

KEY = "resource.customizations.health.cluster.x-k8s.io_MachineDeployment"
OPERATOR = """
kind: ArgoCD
apiVersion: argoproj.io/v1beta1
spec: {resourceHealthChecks: [{group: cluster.x-k8s.io, kind: MachineDeployment, check: x}]}
"""
OLD = "data:\n  resource.customizations: |\n    cluster.x-k8s.io/MachineDeployment:\n      health.lua: x\n"
GENERATED = "configMapGenerator: [{name: argocd-cm, literals: ['" + KEY + "=x']}]\n"
EXEC = """
apiVersion: viaduct.ai/v1
kind: ksops
metadata: {name: s, annotations: {config.kubernetes.io/function: x}}
files: []
"""


@pytest.mark.parametrize(
    ("name", "edits", "expected"),
    [
        ("plain", {"home/argo.yaml": ("        namespace: capi-rollout\n", "")}, {("lock", "warning")}),
        ("plain", {"home/argo.yaml": (KEY, "x"), "cm.yaml": ("", OPERATOR)}, set()),
        ("plain", {"home/argo.yaml": (KEY, "x"), "cm.yaml": ("", OLD)}, set()),
        ("plain", {"home/argo.yaml": (KEY, "x"), "cm/kustomization.yaml": ("", GENERATED)}, set()),
        ("plain", {"home/argo.yaml": (f"  {KEY}", "  kustomize.buildOptions")}, {("health-override", "error")}),
        (
            "plain",
            {"s/kustomization.yaml": ("", "secretGenerator: [{name: s, literals: [a=b]}]\n")},
            {("plaintext-secret", "error")},
        ),
        (
            "flux",
            {
                "orchestrator/kustomization.yaml": ("\n", "\ngenerators: [g.yaml]\n"),
                "orchestrator/g.yaml": ("", EXEC),
            },
            {("secret-build", "error")},
        ),
        (
            "single",
            {
                "management/homelab/kustomization.yaml": ("  - talos-control-plane.yaml\n", ""),
                "cp/kustomization.yaml": ("", "resources: [../management/homelab/talos-control-plane.yaml]\n"),
            },
            {("waves", "warning")},
        ),
        (
            "clusters",
            {"clusters/north/all.yaml": ("name: north-cp\n  namespace: default", "name: north-cp\n  namespace: other")},
            {("reference", "error")},
        ),
        ("clusters", {"clusters/north/all.yaml": ("namespace: default", 'namespace: "${NAMESPACE}"')}, set()),
        ("flux", {"machines/workers/w1.yaml": ("maxSurge: 0", 'maxSurge: "${SURGE}"')}, {("max-surge", "error")}),
        ("flux", {"machines/workers/w1.yaml": ("    type: RollingUpdate\n", "")}, set()),
        (
            "patches",
            {"lab/kustomization.yaml": ("namespace: capi", "namespace: capi\nresources: [x]")},
            {("not-yaml", "error")},
        ),
    ],
)
def test_one_edit(
    name: str,
    edits: dict[str, tuple[str, str]],
    expected: set[tuple[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(LAYOUTS[name].written(tmp_path))
    for path, (old, new) in edits.items():
        file = Path(path)
        file.parent.mkdir(exist_ok=True)
        text = file.read_text() if file.exists() else ""
        assert old in text
        file.write_text(text.replace(old, new) if old else new)
    findings = judge(".", "HEAD").findings
    assert {(each.rule, str(each.level)) for each in findings} >= expected, findings
    assert bool(expected) == bool(findings), findings


def test_a_secret_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: hunter2}\n"
    monkeypatch.chdir(LAYOUTS["single"].written(tmp_path, "plaintext-secret"))
    Path("s.yaml").write_text(secret)
    Path("t.yaml").write_text("secretGenerator: [{name: s, literals: [a=hunter3]}]\n")
    findings = judge(".", "HEAD").findings
    assert len(findings) == 3
    assert not any(word in str(each) for each in findings for word in ("hunter", "context: homelab"))
