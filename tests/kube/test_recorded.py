"""Objects of real controllers, recorded in telling moments, are the ground truth of the parsers."""

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from guards.core.model import Ready, Snapshot
from guards.kube.assemble import Rows, assemble
from guards.kube.rows import (
    cluster_row,
    control_plane_row,
    deployment_row,
    infrastructure_row,
    machine_row,
    machine_set_row,
    talos_config_row,
)
from guards.parameters import Scope

FOLDER = Path(__file__).with_name("recorded")
MOMENTS = sorted(path.stem for path in FOLDER.glob("*.json"))
CAPI = "cluster.x-k8s.io"
READERS = {
    "clusters": cluster_row,
    "machines": machine_row,
    "machinesets": machine_set_row,
    "machinedeployments": deployment_row,
}


@cache
def recorded(moment: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{moment}.json").read_text())
    return found


def rows(moment: str, version: str, plural: str) -> list[Any]:
    return [READERS[plural](item, version) for item in recorded(moment)["objects"][f"{CAPI}/{version}/{plural}"]]


def snapshot(moment: str, version: str) -> Snapshot:
    objects = recorded(moment)["objects"]
    controls = objects["controlplane.cluster.x-k8s.io/v1alpha3/taloscontrolplanes"]
    configs = objects["bootstrap.cluster.x-k8s.io/v1alpha3/talosconfigs"]
    infra = objects["infrastructure.cluster.x-k8s.io/v1beta2/devmachines"]
    return assemble(
        Rows(
            cluster=rows(moment, version, "clusters")[0],
            control_plane=control_plane_row(controls[0], "v1alpha3"),
            deployments=tuple(rows(moment, version, "machinedeployments")),
            machine_sets=tuple(rows(moment, version, "machinesets")),
            machines=tuple(rows(moment, version, "machines")),
            talos_configs=dict(talos_config_row(item, "v1alpha3") for item in configs),
            infrastructure=dict(infrastructure_row(item, "v1beta2") for item in infra),
        ),
        datetime.fromisoformat(recorded(moment)["recorded"]["at"]).astimezone(UTC),
    )


def test_there_are_recordings_with_versions_and_a_date() -> None:
    assert len(MOMENTS) >= 3
    for moment in MOMENTS:
        about = recorded(moment)["recorded"]
        assert {"cluster-api", "cacppt", "cabpt"} <= set(about["versions"])
        assert about["by"].startswith("scripts/cluster record")


@pytest.mark.parametrize("plural", READERS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_both_versions_of_an_object_say_the_same(moment: str, plural: str) -> None:
    """Taken moments apart: an object that changed in between (another resourceVersion) is left out."""
    newer = recorded(moment)["objects"][f"{CAPI}/v1beta2/{plural}"]
    older = {item["metadata"]["uid"]: item for item in recorded(moment)["objects"][f"{CAPI}/v1beta1/{plural}"]}
    same = [
        (item, older[item["metadata"]["uid"]])
        for item in newer
        if older[item["metadata"]["uid"]]["metadata"]["resourceVersion"] == item["metadata"]["resourceVersion"]
    ]
    assert same
    for new, old in same:
        assert READERS[plural](new, "v1beta2") == READERS[plural](old, "v1beta1")


@pytest.mark.parametrize("moment", MOMENTS)
def test_every_machine_is_owned(moment: str) -> None:
    assert [machine.stranger for machine in snapshot(moment, "v1beta2").machines if machine.stranger] == []


def test_a_worker_that_is_being_deleted() -> None:
    seen = snapshot("talos-workers-deleting", "v1beta2")
    [leaving] = [m for m in seen.machines if m.deleting_since is not None]
    assert leaving.scope is Scope.WORKERS
    assert leaving.ready is Ready.FALSE
    assert leaving.deletion.startswith("WaitingForInfrastructureDeletion")
    assert leaving.outdated == ("version v1.35.0, wanted v1.35.1",)
    assert [m.scope for m in seen.machines if m.outdated] == [Scope.WORKERS] * 3
    assert all(m.ready is Ready.TRUE and not m.outdated for m in seen.machines_of(Scope.CONTROL_PLANE))


def test_a_control_plane_machine_that_has_just_been_created() -> None:
    seen = snapshot("talos-control-plane-new-machine", "v1beta2")
    [new] = [m for m in seen.machines_of(Scope.CONTROL_PLANE) if m.ready is not Ready.TRUE]
    assert new.ready is Ready.UNKNOWN, "no condition yet"
    assert not new.dark
    assert not new.node
    assert new.outdated == ()
    assert len([m for m in seen.machines_of(Scope.CONTROL_PLANE) if m.outdated]) == 2


def test_a_cluster_whose_control_plane_has_just_been_created() -> None:
    assert not snapshot("talos-created", "v1beta2").cluster.control_plane_initialized
    assert snapshot("talos-workers-deleting", "v1beta2").cluster.control_plane_initialized


@pytest.mark.parametrize("moment", MOMENTS)
def test_nothing_secret_was_recorded(moment: str) -> None:
    text = (FOLDER / f"{moment}.json").read_text()
    assert "PRIVATE KEY" not in text
    assert "managedFields" not in text
    for item in recorded(moment)["objects"]["bootstrap.cluster.x-k8s.io/v1alpha3/talosconfigs"]:
        assert "status" not in item
        assert "data" not in item["spec"]
