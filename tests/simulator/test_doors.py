"""The two doors: what is refused, what waits, what the wire looks like in both versions."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from guards.core.model import Snapshot
from guards.kube.access import (
    CLUSTER,
    INFRASTRUCTURE,
    MACHINE,
    MACHINE_DEPLOYMENT,
    MACHINE_HEALTH_CHECK,
    TALOS_CONFIG,
    WORKFLOW,
    Kind,
    infrastructure_kind,
)
from guards.kube.errors import Forbidden, NotFound, NotServed, Unreachable
from guards.kube.observe import Observer
from guards.parameters import Parameters
from guards.simulator import LAB, Simulation, faults
from tests.simulator.conftest import CLUSTER_LABEL, NAMESPACE, machines, ready

METAL_MACHINE = infrastructure_kind("MetalMachineTemplate", INFRASTRUCTURE, "v1alpha3")
WORKERS = "homelab-workers"


def listed(simulation: Simulation, kind: Kind, namespace: str = NAMESPACE, labels: str = CLUSTER_LABEL) -> list[dict]:
    return simulation.list(kind, namespace, labels, lambda item: item)


def test_what_the_access_table_does_not_list_is_forbidden() -> None:
    simulation = Simulation()
    with pytest.raises(Forbidden, match='cannot list resource "workflows"'):
        listed(simulation, WORKFLOW, "argo")
    with pytest.raises(Forbidden, match='in the namespace "kube-system"'):
        listed(simulation, MACHINE, "kube-system")
    with pytest.raises(Forbidden, match="cannot watch"):
        simulation.watch([WORKFLOW], "argo", "")
    assert not simulation.allowed("delete", MACHINE.group, MACHINE.plural, NAMESPACE)
    assert not simulation.allowed("get", "", "secrets", NAMESPACE)
    assert simulation.allowed("list", MACHINE.group, MACHINE.plural, NAMESPACE)


def test_a_revoked_permission_is_missed() -> None:
    simulation = Simulation()
    simulation.revoked.add(("list", "machines"))
    assert not simulation.allowed("list", MACHINE.group, MACHINE.plural, NAMESPACE)
    with pytest.raises(Forbidden):
        listed(simulation, MACHINE)


def test_versions_that_are_not_served_are_told() -> None:
    new, old = Simulation(), Simulation(api="v1beta1")
    assert (new.served_version(MACHINE), old.served_version(MACHINE)) == ("v1beta2", "v1beta1")
    assert old.served_version(TALOS_CONFIG) == "v1alpha3"
    assert new.served_version(WORKFLOW) == "v1alpha1"
    with pytest.raises(NotServed):
        new.served_version(dataclasses.replace(MACHINE, versions=("v1beta1",)))
    with pytest.raises(NotServed):
        new.served_version(infrastructure_kind("DevMachineTemplate", INFRASTRUCTURE, "v1beta2"))
    with pytest.raises(ValueError, match="v1beta3"):
        Simulation(api="v1beta3")


def test_named_objects_and_lists() -> None:
    simulation = Simulation()
    with pytest.raises(NotFound):
        simulation.get(CLUSTER, NAMESPACE, "other")
    with pytest.raises(NotFound):
        simulation.get(WORKFLOW, "argo", "capi-homelab-cp-1")
    assert listed(simulation, MACHINE_HEALTH_CHECK) == []
    assert listed(simulation, MACHINE, labels="cluster.x-k8s.io/cluster-name=other") == []
    assert len(listed(simulation, MACHINE, labels=f"{CLUSTER_LABEL},cluster.x-k8s.io/control-plane=")) == 3
    assert len(listed(simulation, METAL_MACHINE)) == len(listed(simulation, TALOS_CONFIG)) == 6


def test_a_reader_that_drops_fields_does_not_harm_the_world() -> None:
    simulation = Simulation()
    for item in listed(simulation, TALOS_CONFIG):
        item.pop("status")
        item["spec"].clear()
    assert all(item["status"] and item["spec"] for item in listed(simulation, TALOS_CONFIG))


def test_waiting_ends_early_only_for_watched_kinds() -> None:
    simulation = Simulation(timings=LAB)
    simulation.watch([MACHINE_DEPLOYMENT], NAMESPACE, CLUSTER_LABEL)
    began = simulation.now()
    assert simulation.wait(30) == frozenset()
    assert (simulation.now() - began).total_seconds() == 30
    faults.delete(simulation, f"{WORKERS}-1")
    assert simulation.wait(30) == {MACHINE_DEPLOYMENT}
    assert (simulation.now() - began).total_seconds() < 40


def test_a_management_outage_hides_the_world_and_its_end_announces_everything() -> None:
    simulation = Simulation(timings=LAB)
    simulation.watch([MACHINE, MACHINE_DEPLOYMENT], NAMESPACE, CLUSTER_LABEL)
    faults.cut_management(simulation, 100)
    faults.delete(simulation, f"{WORKERS}-1")
    assert simulation.wait(30) == frozenset()
    for ask in (
        lambda: listed(simulation, MACHINE),
        lambda: simulation.get(CLUSTER, NAMESPACE, "homelab"),
        lambda: simulation.served_version(MACHINE),
        lambda: simulation.allowed("list", MACHINE.group, MACHINE.plural, NAMESPACE),
    ):
        with pytest.raises(Unreachable):
            ask()
    assert simulation.wait(600) == {MACHINE, MACHINE_DEPLOYMENT}
    assert len(machines(simulation, WORKERS)) == 3, "the world went on: deleted and replaced"
    assert simulation.machine(f"{WORKERS}-1") is None


def test_a_dead_node_shows_in_the_new_ready_and_not_in_the_old_one() -> None:
    simulation = Simulation(timings=LAB)
    faults.power_loss(simulation, f"{WORKERS}-1")
    assert simulation.down_now("workers") == 1, "down at once"
    simulation.advance(39)
    assert ready(machines(simulation, WORKERS)[0]) == "True", "and not seen yet"
    simulation.advance(2)
    item = machines(simulation, WORKERS)[0]
    assert ready(item) == "Unknown"
    old = {c["type"]: c["status"] for c in item["status"]["deprecated"]["v1beta1"]["conditions"]}
    assert old["Ready"] == "True"


def test_a_workload_outage_goes_dark_after_the_graces() -> None:
    simulation = Simulation(timings=LAB)
    faults.cut_workload(simulation)
    probe = {}
    for seconds in (49, 2, 248, 3):
        simulation.advance(seconds)
        cluster = simulation.get(CLUSTER, NAMESPACE, "homelab")
        found = next(c for c in cluster["status"]["conditions"] if c["type"] == "RemoteConnectionProbe")
        probe[round(simulation.engine.seconds)] = (found["status"], ready(machines(simulation, WORKERS)[0]))
    assert probe == {49: ("True", "True"), 51: ("False", "True"), 299: ("False", "True"), 302: ("False", "Unknown")}
    faults.restore_workload(simulation)
    assert ready(machines(simulation, WORKERS)[0]) == "True"


def snapshots(api: str, seed: int) -> list[Snapshot]:
    """Every look of a whole roll with a dead node and an outage of the workload API."""
    simulation = Simulation(api=api, seed=seed)
    observer = Observer(simulation, simulation, Parameters(cluster_name="homelab"))
    simulation.change("homelab-cp", version="v1.35.1")
    simulation.change(WORKERS, version="v1.35.1")
    simulation.at(300, lambda: faults.power_loss(simulation, f"{WORKERS}-3"))
    simulation.at(900, lambda: faults.cut_workload(simulation))
    simulation.at(1500, lambda: faults.restore_workload(simulation))
    looks = [observer.look()]
    while simulation.engine.seconds < 4000:
        looks.append(observer.look(simulation.wait(30)))
    return looks


@pytest.mark.parametrize("seed", [0, 1])
def test_both_versions_of_the_same_cluster_give_equal_snapshots(seed: int) -> None:
    new, old = snapshots("v1beta2", seed), snapshots("v1beta1", seed)
    assert len(new) == len(old) > 100
    assert new == old


TRACE = """
import hashlib, json
from guards.kube.access import MACHINE, MACHINE_SET, TALOS_CONTROL_PLANE
from guards.simulator import Simulation
simulation = Simulation(seed=7)
simulation.change("homelab-cp", version="v1.35.1")
simulation.change("homelab-workers", version="v1.35.1")
simulation.watch([MACHINE, MACHINE_SET, TALOS_CONTROL_PLANE], "default", "")
trace = hashlib.sha256()
while simulation.engine.seconds < 4000:
    woken = sorted(str(kind) for kind in simulation.wait(30))
    trace.update(json.dumps([simulation.engine.seconds, woken]).encode())
    for kind in (MACHINE, MACHINE_SET, TALOS_CONTROL_PLANE):
        simulation.list(kind, "default", "", lambda item: trace.update(json.dumps(item).encode()))
print(trace.hexdigest())
"""


def test_the_same_seed_gives_the_same_trace_in_every_process() -> None:
    def trace(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", TRACE], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert trace("1") == trace("2") != ""


def test_seeds_differ() -> None:
    def world(seed: int) -> str:
        return json.dumps(listed(Simulation(seed=seed), MACHINE))

    assert world(0) == world(0) != world(1)
