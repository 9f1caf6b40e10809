"""What the caller may not do although it must: asked before the first wait, not met hours later."""

from collections.abc import Iterable

from guards.kube.access import (
    CLUSTER,
    MACHINE,
    MACHINE_DEPLOYMENT,
    MACHINE_HEALTH_CHECK,
    MACHINE_SET,
    READ,
    TALOS_CONFIG,
    TALOS_CONTROL_PLANE,
    Kind,
)
from guards.kube.ports import ManagementCluster
from guards.parameters import Parameters, Scope


def used_kinds(parameters: Parameters) -> tuple[Kind, ...]:
    """The kinds a run of this scope reads, but for the infrastructure machines, whose kind the cluster tells."""
    control_plane = (TALOS_CONTROL_PLANE, TALOS_CONFIG) if parameters.covers(Scope.CONTROL_PLANE) else ()
    workers = (MACHINE_DEPLOYMENT, MACHINE_SET) if parameters.covers(Scope.WORKERS) else ()
    return (CLUSTER, MACHINE, MACHINE_HEALTH_CHECK, *control_plane, *workers)


def missing_permissions(
    cluster: ManagementCluster, kinds: Iterable[Kind], namespace: str, verbs: Iterable[str] = READ
) -> list[str]:
    """`list machines.cluster.x-k8s.io in default`, one per denied verb and resource; empty = all is there."""
    asked = [(verb, kind) for kind in kinds for verb in verbs]
    return [
        f"{verb} {kind.plural}.{kind.group} in {namespace}"
        for verb, kind in asked
        if not cluster.allowed(verb, kind.group, kind.plural, namespace)
    ]
