"""API objects as the API server sends them, in both versions, written by hand from the CRDs."""

from typing import Any

CREATED = "2026-01-01T10:00:00Z"


def metadata(kind: str, name: str, **more: Any) -> dict[str, Any]:
    labels = {"cluster.x-k8s.io/cluster-name": "homelab"}
    base = {
        "name": name,
        "namespace": "default",
        "uid": f"uid-{name}",
        "resourceVersion": "10",
        "generation": 1,
        "creationTimestamp": CREATED,
        "labels": labels,
    }
    return {**base, **more}


def owned_by(kind: str, name: str) -> list[dict[str, Any]]:
    return [{"apiVersion": "x", "kind": kind, "name": name, "uid": f"uid-{name}", "controller": True}]


def conditions(**status: tuple[str, str]) -> list[dict[str, Any]]:
    return [
        {"type": kind, "status": value, "reason": reason, "message": "", "lastTransitionTime": CREATED}
        for kind, (value, reason) in status.items()
    ]


HEALTHY = {"Ready": ("True", "Ready"), "NodeHealthy": ("True", "NodeHealthy")}


def machine(version: str = "v1beta2", name: str = "w-1", seen: Any = None, **more: Any) -> dict[str, Any]:
    new = conditions(**(HEALTHY if seen is None else seen))
    if version == "v1beta2":
        status = {"conditions": new, "initialization": {"infrastructureProvisioned": True}}
    else:  # its own Ready ignores the Node: it must not be read
        old = conditions(Ready=("True", ""))
        status = {"conditions": old, "v1beta2": {"conditions": new}, "infrastructureReady": True}
    return {
        "apiVersion": f"cluster.x-k8s.io/{version}",
        "kind": "Machine",
        "metadata": metadata("Machine", name, ownerReferences=owned_by("MachineSet", "set-1"), **more),
        "spec": {
            "clusterName": "homelab",
            "version": "v1.35.0",
            "bootstrap": {"configRef": {"kind": "TalosConfig", "name": f"{name}-config"}},
            "infrastructureRef": {"kind": "MetalMachine", "name": f"{name}-metal"},
        },
        "status": {**status, "nodeRef": {"name": f"node-{name}"}, "observedGeneration": 1},
    }


def template(version: str = "v1.35.0", config: str = "workers-1") -> dict[str, Any]:
    return {
        "spec": {
            "clusterName": "homelab",
            "version": version,
            "bootstrap": {"configRef": {"kind": "TalosConfigTemplate", "name": config}},
            "infrastructureRef": {"kind": "MetalMachineTemplate", "name": "metal-1"},
        }
    }


def deployment(version: str = "v1beta2", **spec: Any) -> dict[str, Any]:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    rollout = {"rollout": {"strategy": strategy}} if version == "v1beta2" else {"strategy": strategy}
    return {
        "apiVersion": f"cluster.x-k8s.io/{version}",
        "kind": "MachineDeployment",
        "metadata": metadata("MachineDeployment", "homelab-workers"),
        "spec": {"clusterName": "homelab", "replicas": 3, "template": template(), **rollout, **spec},
        "status": {"replicas": 3},
    }


def machine_set(version: str = "v1beta2", name: str = "set-1", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": f"cluster.x-k8s.io/{version}",
        "kind": "MachineSet",
        "metadata": metadata("MachineSet", name, ownerReferences=owned_by("MachineDeployment", "homelab-workers")),
        "spec": {"clusterName": "homelab", "replicas": 3, "template": template(), **spec},
        "status": {"replicas": 3},
    }


def control_plane(version: str = "", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "controlplane.cluster.x-k8s.io/v1alpha3",
        "kind": "TalosControlPlane",
        "metadata": metadata("TalosControlPlane", "homelab-cp"),
        "spec": {
            "replicas": 3,
            "version": "v1.35.0",
            "rolloutStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0}},
            "infrastructureTemplate": {
                "apiVersion": "infrastructure.cluster.x-k8s.io/v1alpha3",
                "kind": "MetalMachineTemplate",
                "name": "metal-1",
            },
            "controlPlaneConfig": {"controlplane": {"generateType": "controlplane", "configPatches": [{"op": "add"}]}},
            **spec,
        },
        "status": {"replicas": 3, "readyReplicas": 3, "ready": True},
    }
