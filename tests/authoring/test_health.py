"""The exported health checks beside Argo CD's own, on objects recorded from real controllers."""

import json
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from lupa.lua51 import LuaError

from tests.authoring.lua import Object, health

RECORDED = json.loads((Path(__file__).parents[1] / "kube/recorded/talos.json").read_text())
DEPLOYMENTS = "cluster.x-k8s.io/v1beta2/machinedeployments"
CONTROL_PLANES = "controlplane.cluster.x-k8s.io/v1alpha3/taloscontrolplanes"
KEY = "resource.customizations.health."


def at(moment: str, path: str) -> Object:
    """The only object of a kind at one moment of the recorded roll, a copy."""
    (key,) = RECORDED["moments"][moment]["seen"][path]
    return json.loads(json.dumps(RECORDED["objects"][path][key]))


@pytest.fixture(scope="session")
def ours(files: Any) -> dict[str, str]:
    """Kind -> our Lua."""
    (patch,) = files["argo-cd/argocd-cm-health.yaml"]
    return {key.removeprefix(KEY).rsplit("_")[-1]: lua for key, lua in patch["data"].items()}


@pytest.fixture(scope="session")
def built_in(go_module: Callable[[str], Path], pins: dict[str, str]) -> Path:
    """Folder of the checks that Argo CD brings along, from the module cache; never part of this repository."""
    return go_module(f"github.com/argoproj/argo-cd/v3@{pins['ARGO_CD_VERSION']}") / "resource_customizations"


@pytest.fixture(scope="session")
def theirs(built_in: Path) -> dict[str, str]:
    kinds = ("MachineDeployment", "Cluster")
    return {kind: (built_in / "cluster.x-k8s.io" / kind / "health.lua").read_text() for kind in kinds}


def test_the_keys_name_group_and_kind(files: Any) -> None:
    (patch,) = files["argo-cd/argocd-cm-health.yaml"]
    assert list(patch["data"]) == [
        f"{KEY}cluster.x-k8s.io_MachineDeployment",
        f"{KEY}controlplane.cluster.x-k8s.io_TalosControlPlane",
    ]


def test_the_interpreter_has_only_what_argo_cd_opens() -> None:
    """No string library: a check that uses one fails in Argo CD, and must fail here."""
    with pytest.raises(LuaError):
        health('return {status = ("x"):upper(), message = ""}', {})
    with pytest.raises(LuaError):
        health("return {status = string.upper('x'), message = ''}", {})
    assert health("return {status = tostring(obj.n), message = obj.l[1]}", {"n": 3, "l": ["a"]}) == ("3", "a")


MOMENTS = ("created", "workers-gone", "control-plane-deleting", "control-plane-new-machine", "control-plane-rolled")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_machine_deployment_never_holds_the_next_wave_back(moment: str, ours: dict[str, str]) -> None:
    deployment = at(moment, DEPLOYMENTS)
    status, message = health(ours["MachineDeployment"], deployment)
    assert status == "Healthy"
    assert message.startswith(deployment["status"]["phase"])


@pytest.mark.parametrize("change", [{"spec": {"paused": True}}, {"status": None}, {"status": {"phase": "Failed"}}])
def test_nor_when_it_is_paused_new_or_failed(change: Object, ours: dict[str, str], theirs: dict[str, str]) -> None:
    """Argo CD's own check waits for ever, or fails the sync: the control plane's commit would never be applied."""
    deployment = at("created", DEPLOYMENTS) | change
    if change.get("status", {}) is None:
        del deployment["status"]
    assert health(ours["MachineDeployment"], deployment)[0] == "Healthy"
    assert health(theirs["MachineDeployment"], deployment)[0] in ("Suspended", "Progressing", "Degraded")


def test_argo_cds_own_check_opens_the_wave_in_mid_roll(theirs: dict[str, str]) -> None:
    """It is no gate either: Running says how many machines there are, not which."""
    deployment = at("workers-gone", DEPLOYMENTS)
    rolling = {row["type"]: row["status"] for row in deployment["status"]["conditions"]}["RollingOut"]
    assert (rolling, health(theirs["MachineDeployment"], deployment)[0]) == ("True", "Healthy")


def test_a_new_minor_version_waits_for_ever_with_their_check(ours: dict[str, str], theirs: dict[str, str]) -> None:
    """Recorded while both pools' new minor version was applied as far as the MachineDeployment: the deadlock."""
    recorded = json.loads(Path(__file__).with_name("recorded").joinpath("minor-version.json").read_text())
    deployment = recorded["machineDeployment"]
    assert deployment["status"]["phase"] == "ScalingUp"
    assert "KubernetesVersionSkew" in json.dumps(recorded["machineSet"]), "a new Machine waits for the control plane"
    assert health(theirs["MachineDeployment"], deployment)[0] == "Progressing"
    assert health(ours["MachineDeployment"], deployment)[0] == "Healthy"


def test_a_new_cluster_waits_for_ever_with_argo_cds_own_check(theirs: dict[str, str]) -> None:
    """The first worker waits for the control plane of wave 0, and wave 0 for the workers."""
    deployment = at("created", DEPLOYMENTS)
    assert deployment["status"]["phase"] == "ScalingUp"
    assert health(theirs["MachineDeployment"], deployment)[0] == "Progressing"


@pytest.mark.parametrize(("version", "status"), [("v1beta2", "Healthy"), ("v1beta1", "Degraded")])
def test_a_cluster_may_be_degraded_while_its_control_plane_rolls(
    version: str, status: str, theirs: dict[str, str]
) -> None:
    """Why the example keeps the Cluster in the last wave, where a Degraded object fails no sync."""
    cluster = at("control-plane-deleting", f"cluster.x-k8s.io/{version}/clusters")
    assert health(theirs["Cluster"], cluster)[0] == status


def test_argo_cd_knows_nothing_of_the_other_kinds(built_in: Path) -> None:
    """Objects without a health check are waited for 2 seconds, no longer. Should Argo CD learn one, read it first."""
    groups = {"bootstrap.cluster.x-k8s.io", "infrastructure.cluster.x-k8s.io", "metal.sidero.dev"}
    folders = [path.name for path in built_in.iterdir()]
    assert "cluster.x-k8s.io" in folders
    assert [(name, group) for name in folders for group in groups if fnmatch(group, name.replace("_", "*"))] == []
    assert not (built_in / "controlplane.cluster.x-k8s.io/TalosControlPlane").exists()


CONTROL_PLANE = {
    "created": ("Progressing", "Resized: Scaling up control plane to 3 replicas (actual 2)"),
    "workers-gone": ("Healthy", ""),
    "control-plane-deleting": ("Progressing", "MachinesSpecUpToDate: Rolling 3 replicas with outdated spec"),
    "control-plane-new-machine": ("Progressing", "MachinesSpecUpToDate: Rolling 2 replicas with outdated spec"),
    "control-plane-rolled": ("Progressing", "Ready: WaitingForStartupTimeout"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_health_of_a_control_plane(moment: str, ours: dict[str, str]) -> None:
    status, message = health(ours["TalosControlPlane"], at(moment, CONTROL_PLANES))
    expected, beginning = CONTROL_PLANE[moment]
    assert (status, message.startswith(beginning)) == (expected, True), message


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda o: o["status"].update(observedGeneration=0), "Progressing"),
        (lambda o: o["spec"].update(version="v1.99.0"), "Progressing"),
        (lambda o: o.pop("status"), "Progressing"),
        (lambda o: o["status"].update(conditions=[]), "Progressing"),
        (lambda o: [row.update(status="Unknown") for row in o["status"]["conditions"]], "Progressing"),
        (lambda o: o["status"].update(failureMessage="no quorum"), "Degraded"),
        (lambda o: o["metadata"].update(annotations={"cluster.x-k8s.io/paused": "true"}), "Suspended"),
    ],
)
def test_what_is_not_known_of_a_control_plane_is_not_healthy(
    change: Callable[[Object], Any], expected: str, ours: dict[str, str]
) -> None:
    control_plane = at("workers-gone", CONTROL_PLANES)
    assert health(ours["TalosControlPlane"], control_plane)[0] == "Healthy"
    change(control_plane)
    assert health(ours["TalosControlPlane"], control_plane)[0] == expected
