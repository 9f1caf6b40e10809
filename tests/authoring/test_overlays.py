"""The overlays as Argo CD builds them: waves, strategies, the image pin, and no namespace moved."""

import re
import subprocess
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from workflows.export import export
from workflows.overlay import kustomizations
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
def test_kustomize_builds_what_is_in_the_folder(overlay: str, kustomize: str, repository: Path) -> None:
    folder = repository / "overlay/management" / overlay
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    written = [document for name in listed for document in yaml.safe_load_all((folder / name).read_text())]

    built = build(kustomize, folder)

    assert len(built) == len(written) > 0
    assert {identity(document): document for document in built} == {identity(d): d for d in written}


@pytest.mark.parametrize("which", ["files", "rich_files"])
def test_namespaces_are_explicit(which: str, request: pytest.FixtureRequest) -> None:
    """kustomize's `namespace:` would move Roles out of the clusters' namespaces, without a word."""
    for name, documents in request.getfixturevalue(which).items():
        for document in documents:
            if name.endswith("kustomization.yaml"):
                assert "namespace" not in document
            elif name == "argo-cd/argocd-cm-health.yaml":
                assert "namespace" not in document["metadata"], "a patch: Argo CD's own file has none"
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
    """And the MachineDeployment refers to it in the same export: `template_name` compares the two."""
    document = site.model_dump(by_alias=True)
    pool = document["clusters"][0]["workers"][0]
    scaled = parsed(Site.model_validate(with_pool(document, pool | {"replicas": 7})))
    changed = parsed(Site.model_validate(with_pool(document, pool | {"strategicPatches": ["machine: {}\n"]})))

    assert re.fullmatch(r"homelab-workers-[0-9a-f]{8}", template_name(files))
    assert template_name(changed) != template_name(files)
    assert template_name(scaled) == template_name(files)


def with_pool(document: dict[str, Any], pool: dict[str, Any]) -> dict[str, Any]:
    return document | {"clusters": [document["clusters"][0] | {"workers": [pool]}]}


def test_old_templates_stay_while_machine_sets_refer_to_them(files: Any) -> None:
    annotations = files["homelab/talos-config-template.yaml"][0]["metadata"]["annotations"]

    assert annotations["argocd.argoproj.io/sync-options"] == "Prune=false"
    assert annotations["argocd.argoproj.io/compare-options"] == "IgnoreExtraneous"


def test_ksops_is_asked_only_where_the_site_has_secrets(site: Site, rich_site: Site, rich_files: Any) -> None:
    path = PurePosixPath("overlay/management/argo-workflows/kustomization.yaml")
    assert "generators" not in kustomizations(site)[path]
    assert kustomizations(rich_site)[path]["generators"] == ["capi-rollout-secret-generator.yaml"]
    (generator,) = rich_files["argo-workflows/capi-rollout-secret-generator.yaml"]
    assert (generator["kind"], generator["files"]) == ("ksops", ["./talos.sops.yaml"])


CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"}, "data": {"url": "https://cd"}}


def argo_cd(folder: Path, config_map: Any, **more: str) -> Path:
    """A GitOps folder of Argo CD beside the exported ones, which takes the component in."""
    own = folder / "overlay/management/argocd"
    own.mkdir()
    (own / "cm.yaml").write_text(yaml.safe_dump(config_map))
    kustomization = {"resources": ["cm.yaml"], "components": ["../argo-cd"], **more}
    (own / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return own


def test_the_health_checks_are_a_component_for_argo_cds_own_kustomization(
    kustomize: str, site: Site, files: Any, tmp_path: Path
) -> None:
    """As with Argo CD's install.yaml: no namespace in the file, one in the kustomization. Other settings stay."""
    export(site, tmp_path)

    (built,) = build(kustomize, argo_cd(tmp_path, CONFIG_MAP, namespace="argocd"))

    (patch,) = files["argo-cd/argocd-cm-health.yaml"]
    assert built["data"] == CONFIG_MAP["data"] | patch["data"]
    assert built["metadata"] == {"name": "argocd-cm", "namespace": "argocd"}


def test_a_component_that_finds_no_config_map_fails_the_build(kustomize: str, site: Site, tmp_path: Path) -> None:
    """Silently without the checks, the next minor update of Kubernetes would wait for ever."""
    export(site, tmp_path)
    own = argo_cd(tmp_path, CONFIG_MAP | {"metadata": {"name": "argocd-cmd-params-cm"}})

    done = subprocess.run([kustomize, "build", str(own)], capture_output=True, text=True)

    assert done.returncode != 0
    assert "argocd-cm" in done.stderr
