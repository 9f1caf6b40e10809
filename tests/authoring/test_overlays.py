"""The overlays as Argo CD builds them: waves, strategies, the image pin, and no namespace moved."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from workflows.export import export
from workflows.site import Site

WAVE = "argocd.argoproj.io/sync-wave"


def build(kustomize: str, folder: Path) -> list[dict[str, Any]]:
    """`kustomize build`, which must not even warn."""
    done = subprocess.run([kustomize, "build", str(folder)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return list(yaml.safe_load_all(done.stdout))


def identity(document: dict[str, Any]) -> tuple[str, str, str]:
    return document["kind"], document["metadata"].get("namespace", ""), document["metadata"]["name"]


@pytest.mark.parametrize("overlay", ["argo-workflows", "capi-rollout", "homelab"])
def test_kustomize_builds_what_is_exported(overlay: str, kustomize: str, repository: Path, files: Any) -> None:
    listed = files[f"{overlay}/kustomization.yaml"][0]["resources"]
    exported = [document for name in listed for document in files[f"{overlay}/{name}"]]

    built = build(kustomize, repository / "overlay/management" / overlay)

    assert len(built) == len(exported) > 0
    assert {identity(document): document for document in built} == {identity(d): d for d in exported}


def test_the_pin_reaches_every_step(kustomize: str, rich_site: Site, tmp_path: Path) -> None:
    plain = rich_site.model_copy(update={"secrets": ()})  # ksops is not at hand
    export(plain, tmp_path)
    overlay = tmp_path / "overlay/management/argo-workflows"
    kustomization = overlay / "kustomization.yaml"
    kustomization.write_text(kustomization.read_text().replace("0.1.0", "9.9.9"))

    (template,) = build(kustomize, overlay)
    images = [part["script"]["image"] for part in template["spec"]["templates"] if "script" in part]

    assert images == [f"ghcr.io/capi-rollout/guards:9.9.9@{plain.image.digest}"] * 4


@pytest.mark.parametrize("which", ["files", "rich_files"])
def test_namespaces_are_explicit(which: str, request: pytest.FixtureRequest) -> None:
    """kustomize's `namespace:` would move Roles out of the clusters' namespaces, without a word."""
    for name, documents in request.getfixturevalue(which).items():
        for document in documents:
            if name.endswith("kustomization.yaml"):
                assert "namespace" not in document
            elif document.get("kind") not in (None, "ksops"):
                assert document["metadata"]["namespace"]


def test_waves_let_the_control_plane_come_last(files: Any) -> None:
    waves = {
        document["kind"]: document["metadata"]["annotations"][WAVE]
        for name in ("talos-config-template", "machine-deployment", "talos-control-plane")
        for document in files[f"homelab/{name}.yaml"]
    }

    assert waves == {"TalosConfigTemplate": "-2", "MachineDeployment": "-1", "TalosControlPlane": "0"}


def test_machines_are_replaced_old_first_and_one_at_a_time(files: Any) -> None:
    (deployment,) = files["homelab/machine-deployment.yaml"]
    (control_plane,) = files["homelab/talos-control-plane.yaml"]

    assert deployment["spec"]["rollout"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1},
    }
    assert control_plane["spec"]["rolloutStrategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0}}


def test_the_trigger_can_read_the_cluster_of_the_control_plane(files: Any) -> None:
    (control_plane,) = files["homelab/talos-control-plane.yaml"]

    assert control_plane["metadata"]["labels"]["cluster.x-k8s.io/cluster-name"] == "homelab"


def template_name(files: Any) -> str:
    (template,) = files["homelab/talos-config-template.yaml"]
    (deployment,) = files["homelab/machine-deployment.yaml"]
    reference = deployment["spec"]["template"]["spec"]["bootstrap"]["configRef"]
    assert reference["name"] == template["metadata"]["name"]
    return str(reference["name"])


def test_a_changed_machine_configuration_is_a_new_template(site: Site, files: Any, parsed: Any) -> None:
    document = site.model_dump(by_alias=True)
    document["clusters"][0]["workers"][0]["strategicPatches"] = ["machine:\n  install: {disk: /dev/sda}\n"]
    changed = parsed(Site.model_validate(document))
    document["clusters"][0]["workers"][0]["strategicPatches"] = []
    document["clusters"][0]["workers"][0]["replicas"] = 7
    scaled = parsed(Site.model_validate(document))

    assert re.fullmatch(r"homelab-workers-[0-9a-f]{8}", template_name(files))
    assert template_name(changed) != template_name(files)
    assert template_name(scaled) == template_name(files)


def test_old_templates_stay_while_machine_sets_refer_to_them(files: Any) -> None:
    annotations = files["homelab/talos-config-template.yaml"][0]["metadata"]["annotations"]

    assert annotations["argocd.argoproj.io/sync-options"] == "Prune=false"
    assert annotations["argocd.argoproj.io/compare-options"] == "IgnoreExtraneous"


def test_ksops_is_asked_only_where_the_site_has_secrets(files: Any, rich_files: Any) -> None:
    assert "generators" not in files["argo-workflows/kustomization.yaml"][0]
    assert rich_files["argo-workflows/kustomization.yaml"][0]["generators"] == ["capi-rollout-secret-generator.yaml"]
    (generator,) = rich_files["argo-workflows/capi-rollout-secret-generator.yaml"]
    assert (generator["kind"], generator["files"]) == ("ksops", ["./talos.sops.yaml"])


def test_argo_cd_does_not_wait_for_machine_deployments(files: Any) -> None:
    """Its own check would hold wave 0 back until workers are Running that wait for wave 0."""
    (patch,) = files["argo-cd/argocd-cm-health.yaml"]

    (check,) = patch["data"].items()
    assert check[0] == "resource.customizations.health.cluster.x-k8s.io_MachineDeployment"
    assert re.findall(r'status = "(\w+)"', check[1]) == ["Healthy"]
