"""Rows -> Snapshot: verified owners, and what makes a machine outdated."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

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
from tests.kube.wire import control_plane, deployment, machine, machine_set, metadata, owned_by, template

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
FROM = "cluster.x-k8s.io/cloned-from-"


def cp_machine(**more: Any) -> dict[str, Any]:
    wire = machine(name="cp-1")
    wire["metadata"]["labels"]["cluster.x-k8s.io/control-plane"] = ""
    wire["metadata"]["ownerReferences"] = owned_by("TalosControlPlane", "homelab-cp")
    wire["spec"].update(more)
    return wire


def metal(template_name: str = "metal-1") -> dict[str, Any]:
    kind = "MetalMachineTemplate.infrastructure.cluster.x-k8s.io"
    notes = {f"{FROM}name": template_name, f"{FROM}groupkind": kind}
    return {"kind": "MetalMachine", "metadata": metadata("", "cp-1-metal", annotations=notes)}


def talos(**spec: Any) -> dict[str, Any]:
    wanted = control_plane()["spec"]["controlPlaneConfig"]["controlplane"]
    return {"kind": "TalosConfig", "metadata": metadata("", "cp-1-config"), "spec": {**wanted, **spec}}


def rows(
    *machines: dict[str, Any],
    sets: tuple[dict[str, Any], ...] = (machine_set(),),
    md: dict[str, Any] | None = None,
    infra: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
) -> Rows:
    cluster = {"kind": "Cluster", "metadata": metadata("Cluster", "homelab"), "spec": {}}
    return Rows(
        cluster=cluster_row(cluster, "v1beta2"),
        control_plane=control_plane_row(control_plane(), "v1alpha3"),
        deployments=(deployment_row(md or deployment(), "v1beta2"),),
        machine_sets=tuple(machine_set_row(one, "v1beta2") for one in sets),
        machines=tuple(machine_row(one, "v1beta2") for one in machines),
        talos_configs=dict([talos_config_row(config or talos(), "v1alpha3")]),
        infrastructure=dict([infrastructure_row(infra or metal(), "v1alpha3")]),
    )


def only(found: Rows) -> Any:
    return assemble(found, NOW).machines[0]


def test_owner_chains_are_verified_by_uid() -> None:
    assert only(rows(cp_machine())).pool == "homelab-cp"
    assert only(rows(machine())).pool == "homelab-workers"


@pytest.mark.parametrize(
    "owners", [[], owned_by("TalosControlPlane", "other"), owned_by("KubeadmControlPlane", "homelab-cp")]
)
def test_a_control_plane_label_does_not_make_it_ours(owners: list[dict[str, Any]]) -> None:
    wire = cp_machine()
    wire["metadata"]["ownerReferences"] = owners
    found = only(rows(wire))
    assert found.pool == ""
    assert found.stranger
    assert found.scope == "control-plane"


def test_a_set_of_another_deployment_is_no_owner() -> None:
    foreign = machine_set()
    foreign["metadata"]["ownerReferences"] = owned_by("MachineDeployment", "other")
    assert only(rows(machine(), sets=(foreign,))).stranger


def test_another_cluster_name_in_the_spec_is_a_stranger() -> None:
    assert "other" in only(rows(cp_machine(clusterName="other"))).stranger


def test_an_up_to_date_control_plane_machine() -> None:
    assert only(rows(cp_machine())).outdated == ()


def test_each_difference_that_the_provider_compares_is_named() -> None:
    assert only(rows(cp_machine(version="v1.34.0"))).outdated == ("version v1.34.0, wanted v1.35.0",)
    assert "metal-0" in only(rows(cp_machine(), infra=metal("metal-0"))).outdated[0]
    changed = only(rows(cp_machine(), config=talos(configPatches=[{"op": "remove"}]))).outdated
    assert len(changed) == 1
    assert changed[0].startswith("controlPlaneConfig.configPatches ")


def test_a_missing_config_or_infrastructure_machine_counts_as_equal_as_in_the_provider() -> None:
    found = replace(rows(cp_machine()), talos_configs={}, infrastructure={})
    assert only(found).outdated == ()


@pytest.mark.parametrize("change", [{"version": "v1.36.0"}, {"config": "workers-2"}])
def test_a_worker_is_outdated_by_the_template_of_its_set(change: dict[str, str]) -> None:
    newer = deployment(template=template(**change))
    found = assemble(rows(machine(), md=newer), NOW)
    assert found.machines[0].outdated
    assert "there is no MachineSet for the current template yet" in found.pools[1].unfinished


def test_an_older_set_with_replicas_is_unfinished() -> None:
    older = machine_set(name="set-0", template=template("v1.34.0"), replicas=0)
    older["status"]["replicas"] = 1
    found = assemble(rows(machine(), sets=(machine_set(), older)), NOW).pools[1]
    assert found.unfinished == ("MachineSet set-0 of an older template still has 1 replicas",)


def test_an_older_set_at_zero_is_history() -> None:
    older = machine_set(name="set-0", template=template("v1.34.0"), replicas=0)
    older["status"]["replicas"] = 0
    assert assemble(rows(machine(), sets=(machine_set(), older)), NOW).pools[1].unfinished == ()


@pytest.mark.parametrize(("after", "outdated"), [("2026-01-01T11:00:00Z", True), ("2026-01-01T13:00:00Z", False)])
def test_rollout_after_outruns_sets_made_before_it(after: str, outdated: bool) -> None:
    md = deployment()
    md["spec"]["rollout"]["after"] = after
    assert bool(assemble(rows(machine(), md=md), NOW).pools[1].unfinished) is outdated


def test_a_paused_set_is_named() -> None:
    paused = machine_set()
    paused["metadata"]["annotations"] = {"cluster.x-k8s.io/paused": ""}
    assert assemble(rows(machine(), sets=(paused,)), NOW).pools[1].paused == ("MachineSet set-1",)


def test_a_deployment_of_another_cluster_is_no_pool() -> None:
    pools = assemble(rows(machine(), md=deployment(clusterName="other")), NOW).pools
    assert [pool.kind for pool in pools] == ["TalosControlPlane"]
