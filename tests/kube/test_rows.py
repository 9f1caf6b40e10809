"""One object -> one row, the same from both API versions."""

from dataclasses import replace

import pytest

from guards.core.model import Ready, Strategy
from guards.kube.errors import Malformed
from guards.kube.rows import (
    cluster_row,
    control_plane_row,
    deployment_row,
    machine_row,
    machine_set_row,
    talos_config_row,
)
from tests.kube.wire import HEALTHY, conditions, control_plane, deployment, machine, machine_set, metadata

VERSIONS = ["v1beta2", "v1beta1"]
BOTH = pytest.mark.parametrize("version", VERSIONS)


@pytest.mark.parametrize(("build", "read"), [(machine, machine_row), (deployment, deployment_row),
                                             (machine_set, machine_set_row)])  # fmt: skip
def test_both_versions_give_equal_rows(build, read) -> None:  # type: ignore[no-untyped-def]
    assert read(build("v1beta1"), "v1beta1") == read(build("v1beta2"), "v1beta2")


@BOTH
def test_a_dead_node_is_not_ready_in_either_version(version: str) -> None:
    """v1beta1's own Ready stays True when the Node dies: it must not be read."""
    dead = {"Ready": ("False", "NotReady"), "NodeHealthy": ("False", "NodeNotHealthy")}
    row = machine_row(machine(version, seen=dead), version)
    assert row.ready.status is Ready.FALSE
    assert not row.dark


@BOTH
def test_a_missing_condition_is_unknown_and_not_in_the_dark(version: str) -> None:
    row = machine_row(machine(version, seen={}), version)
    assert row.ready.status is Ready.UNKNOWN
    assert not row.dark


@pytest.mark.parametrize("reason", ["ConnectionDown", "InternalError", "InspectionFailed"])
@BOTH
def test_unseen_is_dark(version: str, reason: str) -> None:
    unseen = {"Ready": ("Unknown", "ReadyUnknown"), "NodeHealthy": ("Unknown", reason)}
    row = machine_row(machine(version, seen=unseen), version)
    assert row.dark
    assert row.connection_down is (reason == "ConnectionDown")


@BOTH
def test_a_node_that_reports_nothing_is_not_dark(version: str) -> None:
    lost = {"Ready": ("Unknown", "ReadyUnknown"), "NodeHealthy": ("Unknown", "NodeHealthUnknown")}
    assert not machine_row(machine(version, seen=lost), version).dark


def test_a_status_older_than_the_spec_is_dark() -> None:
    wire = machine(generation=2)
    assert machine_row(wire, "v1beta2").dark


def test_of_two_conditions_of_one_type_the_worst_counts() -> None:
    wire = machine()
    wire["status"]["conditions"] += conditions(Ready=("False", "NotReady"))
    assert machine_row(wire, "v1beta2").ready.status is Ready.FALSE


def test_an_unheard_of_status_is_unknown() -> None:
    assert machine_row(machine(seen={"Ready": ("Perhaps", "")}), "v1beta2").ready.status is Ready.UNKNOWN


def test_before_cluster_api_1_9_the_node_decides() -> None:
    wire = machine("v1beta1")
    del wire["status"]["v1beta2"]
    wire["status"]["conditions"] = conditions(Ready=("True", ""), NodeHealthy=("False", "NodeProvisioning"))
    row = machine_row(wire, "v1beta1")
    assert row.ready.status is Ready.FALSE
    assert row.old_conditions


@BOTH
def test_deleting_says_why_it_takes_so_long(version: str) -> None:
    seen = {**HEALTHY, "Ready": ("False", "NotReady"), "Deleting": ("True", "DrainingNode")}
    row = machine_row(machine(version, seen=seen, deletionTimestamp="2026-01-01T11:00:00Z"), version)
    assert row.deleting_since is not None
    assert row.deletion == "DrainingNode"


@BOTH
def test_absent_strategy_fields_stay_absent(version: str) -> None:
    bare = deployment(version)
    root = bare["spec"]["rollout"] if version == "v1beta2" else bare["spec"]
    root["strategy"] = {}
    assert deployment_row(bare, version).strategy == Strategy("RollingUpdate", None, None)


def test_control_plane() -> None:
    row = control_plane_row(control_plane(), "v1alpha3")
    assert row.infrastructure == ("metal-1", "MetalMachineTemplate.infrastructure.cluster.x-k8s.io")
    assert row.strategy == Strategy("RollingUpdate", 0, None)
    assert row.replicas == 3


def test_a_control_plane_without_a_version_is_malformed() -> None:
    wire = control_plane()
    del wire["spec"]["version"]
    with pytest.raises(Malformed, match=r"TalosControlPlane default/homelab-cp: spec\.version"):
        control_plane_row(wire, "v1alpha3")


def test_no_secret_of_a_talos_config_leaves_the_edge() -> None:
    wire = {
        "kind": "TalosConfig",
        "metadata": metadata("TalosConfig", "x"),
        "spec": {"generateType": "worker", "data": "SECRET-DATA", "configPatches": [{"value": "SECRET-PATCH"}]},
        "status": {"talosConfig": "SECRET-STATUS", "dataSecretName": "x"},
    }
    assert "SECRET" not in repr(talos_config_row(wire, "v1alpha3"))


def test_empty_and_absent_talos_fields_are_the_same() -> None:
    def row(**spec: object) -> object:
        return talos_config_row({"kind": "TalosConfig", "metadata": metadata("", "x"), "spec": spec}, "v1alpha3")

    assert row(generateType="worker") == row(generateType="worker", configPatches=[], hostname={}, data="")
    assert row(generateType="worker") != row(generateType="worker", configPatches=[{"op": "add"}])


@BOTH
def test_cluster(version: str) -> None:
    new = conditions(RemoteConnectionProbe=("False", "ProbeFailed"), ControlPlaneInitialized=("True", ""))
    status = {"conditions": new, "initialization": {"controlPlaneInitialized": True}}
    if version == "v1beta1":
        status = {"conditions": conditions(ControlPlaneInitialized=("True", "")), "v1beta2": {"conditions": new}}
    facts = cluster_row(
        {
            "kind": "Cluster",
            "metadata": metadata("Cluster", "homelab", annotations={"capi-rollout/hold": "disk swap"}),
            "spec": {"paused": True, "controlPlaneRef": {"kind": "TalosControlPlane", "name": "homelab-cp"}},
            "status": status,
        },
        version,
    )
    assert facts.remote_connection is Ready.FALSE
    assert facts.control_plane_initialized
    assert facts.paused
    assert facts.hold == "disk swap"
    assert facts.control_plane_ref == "TalosControlPlane homelab-cp"


def test_an_empty_hold_is_a_hold() -> None:
    wire = {"kind": "Cluster", "metadata": metadata("Cluster", "homelab", annotations={"capi-rollout/hold": ""})}
    assert cluster_row(wire, "v1beta2").hold == ""


def test_paused_by_annotation_whatever_its_value() -> None:
    row = control_plane_row(control_plane(), "v1alpha3")
    wire = control_plane()
    wire["metadata"]["annotations"] = {"cluster.x-k8s.io/paused": ""}
    assert control_plane_row(wire, "v1alpha3") == replace(row, paused=True)
