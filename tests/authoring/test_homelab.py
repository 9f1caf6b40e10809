"""The example cluster as `kustomize build` gives it to Argo CD: exported files and the user's own, together."""

from pathlib import Path
from typing import Any

import pytest
import yaml

Object = dict[str, Any]
FOLDER = Path(__file__).parents[2] / "overlay/management/homelab"
WAVE = "argocd.argoproj.io/sync-wave"
LISTED = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
OBJECTS = [document for name in LISTED for document in yaml.safe_load_all((FOLDER / name).read_text())]
BY_NAME = {(document["kind"], document["metadata"]["name"]): document for document in OBJECTS}


def references(node: Any) -> list[tuple[str, str]]:
    """(kind, name) of every object reference below."""
    if isinstance(node, list):
        return [each for value in node for each in references(value)]
    if not isinstance(node, dict):
        return []
    own = [(node["kind"], node["name"])] if {"kind", "name"} <= set(node) else []
    return own + [each for value in node.values() for each in references(value)]


def wave(document: Object) -> int:
    return int(document["metadata"]["annotations"][WAVE])


def test_it_is_a_whole_cluster() -> None:
    kinds = [kind for kind, _ in BY_NAME]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "ServerClass": 2,
        "MetalMachineTemplate": 2,
        "Cluster": 1,
        "MetalCluster": 1,
        "TalosConfigTemplate": 1,
        "MachineDeployment": 1,
        "TalosControlPlane": 1,
    }
    assert BY_NAME["TalosControlPlane", "homelab-control-plane"]["spec"]["replicas"] == 3
    assert BY_NAME["MachineDeployment", "homelab-workers"]["spec"]["replicas"] > 1


def test_every_file_of_the_folder_is_listed() -> None:
    assert sorted(LISTED) == sorted(path.name for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml")


@pytest.mark.parametrize("name", BY_NAME, ids=lambda name: "/".join(name))
def test_its_references_lead_somewhere_and_never_to_a_later_wave(name: tuple[str, str]) -> None:
    document = BY_NAME[name]
    for reference in references(document["spec"]):
        assert reference in BY_NAME, f"{name} refers to {reference}, which the overlay does not hold"
        assert wave(BY_NAME[reference]) <= wave(document)


def test_references_are_found_at_all() -> None:
    assert references(BY_NAME["Cluster", "homelab"]["spec"]) == [
        ("MetalCluster", "homelab"),
        ("TalosControlPlane", "homelab-control-plane"),
    ]
    assert len(references(BY_NAME["MachineDeployment", "homelab-workers"]["spec"])) == 2


def test_what_argo_cd_could_call_degraded_comes_last() -> None:
    """Degraded in an earlier wave fails the sync: see test_health.py for the Cluster."""
    waves = {kind: wave(document) for (kind, _), document in BY_NAME.items()}
    assert waves == {
        "ServerClass": -2,
        "MetalMachineTemplate": -2,
        "TalosConfigTemplate": -2,
        "MachineDeployment": -1,
        "TalosControlPlane": 0,
        "Cluster": 0,
        "MetalCluster": 0,
    }


def test_no_prune_takes_the_machines_with_it() -> None:
    for kind in ("Cluster", "MetalCluster"):
        options = BY_NAME[kind, "homelab"]["metadata"]["annotations"]["argocd.argoproj.io/sync-options"]
        assert set(options.split(",")) == {"Prune=false", "Delete=false"}


def test_the_patches_are_machine_configuration() -> None:
    """A patch that is not YAML, or empty, would only show on a machine that has been wiped already."""
    (config,) = (document for document in OBJECTS if document["kind"] == "TalosConfigTemplate")
    control_plane = BY_NAME["TalosControlPlane", "homelab-control-plane"]["spec"]["controlPlaneConfig"]["controlplane"]
    for spec in (config["spec"]["template"]["spec"], control_plane):
        (patch,) = spec["strategicPatches"]
        assert yaml.safe_load(patch)["machine"]["install"]["image"].startswith("ghcr.io/siderolabs/installer:v")
