"""How a world begins: every machine has been in service for a while."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from guards.simulator import lifecycle
from guards.simulator.deployments import create_set
from guards.simulator.records import ClusterRecord, Condition, Pool, Record, Template

if TYPE_CHECKING:
    from guards.simulator.world import World

INITIAL = Template(version="v1.35.0", config="1", infrastructure="metal-1")


def found_cluster(world: "World", name: str, control_plane: str) -> ClusterRecord:
    cluster = ClusterRecord(
        kind="Cluster", name=name, uid=world.uid("Cluster", name), created=world.now(), control_plane=control_plane,
        probe=Condition("True", "ProbeSucceeded", "", world.now()),
    )  # fmt: skip
    cluster.labels["cluster.x-k8s.io/cluster-name"] = name
    world.add(cluster)
    return cluster


def found_control_plane(world: "World", replicas: int) -> Pool:
    pool = _pool(world, "TalosControlPlane", world.cluster.control_plane, replicas, INITIAL)
    _settle(world, pool, pool)
    return pool


def found_workers(world: "World", workers: Mapping[str, int]) -> None:
    """MachineDeployments by name, each with so many machines."""
    for deployment, replicas in workers.items():
        template = replace(INITIAL, config=f"{deployment}-1")
        pool = _pool(world, "MachineDeployment", deployment, replicas, template)
        _settle(world, pool, create_set(world, pool, replicas))


def _pool(world: "World", kind: str, name: str, replicas: int, template: Template) -> Pool:
    labels = {"cluster.x-k8s.io/cluster-name": world.cluster.name}
    pool = Pool(
        kind=kind, name=name, uid=world.uid(kind, name), created=world.now(), labels=labels, owner=world.cluster,
        replicas=replicas, template=template,
    )  # fmt: skip
    world.add(pool)
    if kind == "MachineDeployment":
        world.add(world.record("TalosConfigTemplate", template.config, {}))
    return pool


def _settle(world: "World", pool: Pool, owner: Record) -> None:
    for _ in range(pool.replicas):
        world.engine.seconds += 600
        lifecycle.settle(world, lifecycle.stamp(world, pool, pool.template, owner))
