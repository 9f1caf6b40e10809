"""Objects recorded from real controllers (`scripts/cluster record`): the ground truth of the parsers."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ci.cluster.record import KEPT, VERSION
from guards.core.counts import budgets
from guards.core.done import outdated
from guards.core.memory import Memory
from guards.core.model import Snapshot
from guards.kube import rows
from guards.kube.assemble import Rows, assemble
from guards.parameters import Parameters, Scope

FOLDER = Path(__file__).with_name("recorded")
RECORDINGS = {lab: json.loads((FOLDER / f"{lab}.json").read_text()) for lab in ("talos", "kubeadm")}
MOMENTS = [(lab, moment) for lab, recording in RECORDINGS.items() for moment in recording["moments"]]
EACH = pytest.mark.parametrize(("lab", "moment"), MOMENTS)
VERSIONS = ("v1beta2", "v1beta1")
READERS: dict[str, Callable[[Any, str], Any]] = {
    "clusters": rows.cluster_row,
    "machinedeployments": rows.deployment_row,
    "machinesets": rows.machine_set_row,
    "machines": rows.machine_row,
}
DEVICES = "infrastructure.cluster.x-k8s.io/v1beta2/devmachines"
CONTROL_PLANES = "controlplane.cluster.x-k8s.io/v1alpha3/taloscontrolplanes"
CONFIGS = "bootstrap.cluster.x-k8s.io/v1alpha3/talosconfigs"


def seen(lab: str, moment: str, path: str) -> list[Any]:
    """The objects of one kind, at one version, at one moment."""
    recording = RECORDINGS[lab]
    return [recording["objects"][path][key] for key in recording["moments"][moment]["seen"].get(path, ())]


def read(lab: str, moment: str, plural: str, version: str) -> list[Any]:
    found = seen(lab, moment, f"cluster.x-k8s.io/{version}/{plural}")
    return [READERS[plural](item, version) for item in found]


def look(lab: str, moment: str, version: str = "v1beta2") -> Snapshot:
    """What the guards would have seen at this moment."""
    (cluster,) = read(lab, moment, "clusters", version)
    planes = [rows.control_plane_row(item, "v1alpha3") for item in seen(lab, moment, CONTROL_PLANES)]
    found = Rows(
        cluster=cluster,
        control_plane=planes[0] if planes else None,
        deployments=tuple(read(lab, moment, "machinedeployments", version)),
        machine_sets=tuple(read(lab, moment, "machinesets", version)),
        machines=tuple(read(lab, moment, "machines", version)),
        talos_configs=dict(rows.talos_config_row(item, "v1alpha3") for item in seen(lab, moment, CONFIGS)),
        infrastructure=dict(rows.infrastructure_row(item, "v1beta2") for item in seen(lab, moment, DEVICES)),
    )
    return assemble(found, taken_at(lab, moment))


def taken_at(lab: str, moment: str) -> datetime:
    return datetime.fromisoformat(RECORDINGS[lab]["moments"][moment]["at"])


@pytest.mark.parametrize("lab", RECORDINGS)
def test_a_recording_says_what_it_is_of(lab: str) -> None:
    about = RECORDINGS[lab]["recorded"]
    assert about["versions"].keys() == {"kubernetes", "cluster-api", "cabpt", "cacppt"}
    assert len({taken_at(lab, moment) for moment in RECORDINGS[lab]["moments"]}) > 1


@pytest.mark.parametrize("lab", RECORDINGS)
def test_a_recording_is_small_and_holds_no_secret(lab: str) -> None:
    text = (FOLDER / f"{lab}.json").read_text()
    assert len(text) < 200_000
    assert not any(word in text for word in ("BEGIN ", "LS0tLS1", "talosconfig:", '"Secret"'))
    for item in RECORDINGS[lab]["objects"].get(CONFIGS, {}).values():
        assert "status" not in item
        assert "data" not in item["spec"]


@pytest.mark.parametrize("plural", READERS)
@EACH
def test_both_versions_of_one_object_at_one_moment_give_equal_rows(lab: str, moment: str, plural: str) -> None:
    new, old = (read(lab, moment, plural, version) for version in VERSIONS)
    assert new
    assert new == old


@EACH
def test_both_versions_give_the_same_snapshot(lab: str, moment: str) -> None:
    assert look(lab, moment, "v1beta1") == look(lab, moment, "v1beta2")


@pytest.mark.parametrize("moment", RECORDINGS["talos"]["moments"])
def test_every_recorded_object_of_the_talos_providers_is_read(moment: str) -> None:
    (plane,) = [rows.control_plane_row(item, "v1alpha3") for item in seen("talos", moment, CONTROL_PLANES)]
    assert (plane.replicas, plane.strategy.max_surge) == (3, 0)
    assert plane.talos
    machines = read("talos", moment, "machines", "v1beta2")
    configs = dict(rows.talos_config_row(item, "v1alpha3") for item in seen("talos", moment, CONFIGS))
    devices = dict(rows.infrastructure_row(item, "v1beta2") for item in seen("talos", moment, DEVICES))
    # One moment later another object exists, so the newest machine may still lack them.
    assert sum(1 for machine in machines if machine.bootstrap in configs) >= len(machines) - 1
    assert all(origin == plane.infrastructure for name, origin in devices.items() if origin)


def count(lab: str, moment: str, scope: Scope) -> tuple[int, int, int, int, int]:
    """(slots, machines, available, not ready, deleting) of one scope as the guards count them."""
    snapshot = look(lab, moment)
    parameters = Parameters(cluster_name="homelab", scope=scope)
    (counts,) = budgets(snapshot, Memory(started_at=snapshot.taken_at), parameters)
    machines = snapshot.machines_of(scope)
    return counts.slots, len(machines), len(counts.available), len(counts.not_ready), len(counts.deleting)


WHOLE = (3, 3, 3, 0, 0)
SHOWN = {"deleting": (3, 3, 2, 1, 1), "gone": (3, 2, 2, 0, 0), "new-machine": (3, 3, 2, 1, 0), "rolled": WHOLE}
"""What a moment of a roll says about its own scope; the other scope is whole meanwhile."""


ROLLS = [
    (lab, moment, scope, moment.removeprefix(f"{scope}-"))
    for lab, moment in MOMENTS
    for scope in (Scope.CONTROL_PLANE, Scope.WORKERS)
    if moment.startswith(f"{scope}-")
]
EACH_OF_A_ROLL = pytest.mark.parametrize(("lab", "moment", "scope", "shown"), ROLLS)


def test_every_moment_was_recorded() -> None:
    assert {lab: tuple(recording["moments"]) for lab, recording in RECORDINGS.items()} == KEPT
    assert {shown for _, _, _, shown in ROLLS} == SHOWN.keys()


@EACH_OF_A_ROLL
def test_the_counts_are_what_the_moment_is_named_for(lab: str, moment: str, scope: Scope, shown: str) -> None:
    assert count(lab, moment, scope) == SHOWN[shown]
    other = Scope.WORKERS if scope is Scope.CONTROL_PLANE else Scope.CONTROL_PLANE
    if lab == "talos":
        assert count(lab, moment, other) == WHOLE


@EACH_OF_A_ROLL
def test_outdated_are_the_machines_of_the_old_version(lab: str, moment: str, scope: Scope, shown: str) -> None:
    snapshot = look(lab, moment)
    (pool,) = snapshot.pools_of(scope)
    label = "cluster.x-k8s.io/control-plane"
    old = {
        item["metadata"]["name"]
        for item in seen(lab, moment, "cluster.x-k8s.io/v1beta2/machines")
        if (label in item["metadata"]["labels"]) is (scope is Scope.CONTROL_PLANE)
        and item["spec"]["version"] != VERSION
        and "deletionTimestamp" not in item["metadata"]
    }
    assert {machine.name for machine in outdated(snapshot, pool)} == old
    assert (not old and not pool.unfinished) is (shown == "rolled")


def test_a_machine_without_conditions_is_unknown_and_not_in_the_dark() -> None:
    parsed = [machine for machine in look("talos", "created").machines if machine.ready == "Unknown"]
    assert parsed
    assert not any(machine.dark or machine.node or machine.stranger for machine in parsed)


def test_a_rolled_talos_cluster_has_two_whole_pools_and_no_stranger() -> None:
    snapshot = look("talos", "control-plane-rolled")
    assert [pool.kind for pool in snapshot.pools] == ["TalosControlPlane", "MachineDeployment"]
    assert not any(machine.stranger or machine.outdated or machine.dark for machine in snapshot.machines)
    assert snapshot.cluster.control_plane_initialized
    assert snapshot.cluster.remote_connection == "True"
