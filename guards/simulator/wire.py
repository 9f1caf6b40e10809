"""Records as API objects: exactly what the API server would send, in either version of Cluster API."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from guards.simulator.records import Condition, Record

Object = dict[str, Any]

CAPI = "cluster.x-k8s.io"
CONTROL_PLANE_API = "controlplane.cluster.x-k8s.io/v1alpha3"
BOOTSTRAP_GROUP, BOOTSTRAP_VERSION = "bootstrap.cluster.x-k8s.io", "v1alpha3"
INFRASTRUCTURE_GROUP, INFRASTRUCTURE_VERSION = "infrastructure.cluster.x-k8s.io", "v1alpha3"

FINALIZERS = {"Machine": "machine.cluster.x-k8s.io", "MachineSet": "cluster.x-k8s.io/machineset"}


def instant(value: datetime) -> str:
    """As the API server writes it: whole seconds, UTC."""
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


def api_version(kind: str, capi: str) -> str:
    """apiVersion of a kind, with Cluster API's own kinds served at `capi`."""
    if kind == "TalosControlPlane":
        return CONTROL_PLANE_API
    if kind in ("TalosConfig", "TalosConfigTemplate"):
        return f"{BOOTSTRAP_GROUP}/{BOOTSTRAP_VERSION}"
    if kind in ("MetalMachine", "MetalMachineTemplate"):
        return f"{INFRASTRUCTURE_GROUP}/{INFRASTRUCTURE_VERSION}"
    return f"{CAPI}/{capi}"


def envelope(record: Record, capi: str, namespace: str, spec: Object, status: Object) -> Object:
    """apiVersion, kind, metadata, spec and, where a controller has written one, status of one object."""
    item: Object = {
        "apiVersion": api_version(record.kind, capi),
        "kind": record.kind,
        "metadata": _metadata(record, capi, namespace),
        "spec": spec,
    }
    return item | {"status": status} if status else item


def _metadata(record: Record, capi: str, namespace: str) -> Object:
    metadata: Object = {
        "name": record.name,
        "namespace": namespace,
        "uid": record.uid,
        "resourceVersion": str(record.version),
        "generation": record.generation,
        "creationTimestamp": instant(record.created),
    }
    if record.labels:
        metadata["labels"] = dict(record.labels)
    if record.annotations:
        metadata["annotations"] = dict(record.annotations)
    if record.owner is not None:
        metadata["ownerReferences"] = [_owner(record.owner, capi)]
    if record.kind in FINALIZERS:
        metadata["finalizers"] = [FINALIZERS[record.kind]]
    if record.deleted is not None:
        metadata["deletionTimestamp"] = instant(record.deleted)
        metadata["deletionGracePeriodSeconds"] = 0
    return metadata


def _owner(owner: Record, capi: str) -> Object:
    return {
        "apiVersion": api_version(owner.kind, capi),
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def conditions(found: dict[str, Condition], generation: int) -> list[Object]:
    """metav1 conditions, sorted by type."""
    return [
        {
            "type": type_,
            "status": condition.status,
            "observedGeneration": generation,
            "reason": condition.reason,
            "message": condition.message,
            "lastTransitionTime": instant(condition.since),
        }
        for type_, condition in sorted(found.items())
    ]


def old_condition(type_: str, status: str, since: datetime, reason: str = "", message: str = "") -> Object:
    """A condition of Cluster API's v1beta1: severity and reason only where it is not True."""
    condition: Object = {"type": type_, "status": status, "lastTransitionTime": instant(since)}
    if status != "True":
        condition |= {"severity": "Info", "reason": reason}
    return condition | {"message": message} if message else condition


def reference(kind: str, name: str, capi: str, namespace: str) -> Object:
    """A reference between objects: by group at v1beta2, an ObjectReference with version before."""
    version = api_version(kind, capi)
    if capi == "v1beta2":
        return {"apiGroup": version.split("/")[0], "kind": kind, "name": name}
    return {"apiVersion": version, "kind": kind, "name": name, "namespace": namespace}


Renderer = Callable[[Record, str, str], Object]
"""record, version of Cluster API, namespace -> API object."""
