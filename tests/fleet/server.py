"""A loopback API server with a fleet of 5,000 Machines and everything a look reads, in pages of 500."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.edge.faulty import Faulty, Reply, Request, reply
from tests.kube import wire

SIZE = 5_000
CONTROL_PLANES = 3
PAGE = 500
FIELDS = [{"manager": name, "operation": "Update", "fieldsV1": {f"f:{key}": {} for key in range(60)}} for name in "ab"]
"""Bulk that real objects carry and nobody here reads."""


def machine(number: int) -> dict[str, Any]:
    if number >= CONTROL_PLANES:
        found = wire.machine(name=f"w-{number}", managedFields=FIELDS)
    else:
        found = wire.machine(name=f"cp-{number}", managedFields=FIELDS)
        found["metadata"]["labels"] |= {"cluster.x-k8s.io/control-plane": ""}
        found["metadata"]["ownerReferences"] = wire.owned_by("TalosControlPlane", "homelab-cp")
    return found


def config(number: int) -> dict[str, Any]:
    name = machine(number)["spec"]["bootstrap"]["configRef"]["name"]
    kind = "worker" if number >= CONTROL_PLANES else "controlplane"
    spec = {"generateType": kind, "configPatches": [{"op": "add"}]}
    return {"metadata": wire.metadata("TalosConfig", name, managedFields=FIELDS), "spec": spec}


def metal(number: int) -> dict[str, Any]:
    name = machine(number)["spec"]["infrastructureRef"]["name"]
    return {"metadata": wire.metadata("MetalMachine", name, managedFields=FIELDS), "spec": {}}


def collections() -> dict[str, list[dict[str, Any]]]:
    cluster = {
        "metadata": wire.metadata("Cluster", "homelab"),
        "spec": {"controlPlaneRef": {"kind": "TalosControlPlane", "name": "homelab-cp"}},
        "status": {"initialization": {"controlPlaneInitialized": True}},
    }
    workers = SIZE - CONTROL_PLANES
    return {
        "clusters": [cluster],
        "taloscontrolplanes": [wire.control_plane()],
        "machines": [machine(n) for n in range(SIZE)],
        "talosconfigs": [config(n) for n in range(SIZE)],
        "metalmachines": [metal(n) for n in range(SIZE)],
        "machinesets": [wire.machine_set(replicas=workers)],
        "machinedeployments": [wire.deployment(replicas=workers)],
    }


KINDS = {
    "clusters": "Cluster",
    "taloscontrolplanes": "TalosControlPlane",
    "machines": "Machine",
    "talosconfigs": "TalosConfig",
    "metalmachines": "MetalMachine",
    "machinesets": "MachineSet",
    "machinedeployments": "MachineDeployment",
}


class Fleet(Faulty):
    """Serves the collections: one object by name, or a page."""

    def __init__(self) -> None:
        super().__init__()
        self.objects = collections()
        self.versions = {
            "cluster.x-k8s.io": ["v1beta2"],
            "controlplane.cluster.x-k8s.io": ["v1alpha3"],
            "bootstrap.cluster.x-k8s.io": ["v1alpha3"],
            "infrastructure.cluster.x-k8s.io": ["v1alpha3"],
        }

    def _answer(self, request: Request) -> Reply:
        path = urlsplit(request.path)
        found = re.fullmatch(r"/apis/([^/]+/[^/]+)/namespaces/default/([a-z]+)(?:/(.+))?", path.path)
        if not found:
            return super()._answer(request)
        version, plural, name = found.groups()
        typed = {"apiVersion": version, "kind": KINDS[plural]}
        if name:
            return reply(200, next(o for o in self.objects[plural] if o["metadata"]["name"] == name) | typed)
        start = int(parse_qs(path.query).get("continue", ["0"])[0])
        items = self.objects[plural][start : start + PAGE]
        token = {"continue": str(start + PAGE)} if start + PAGE < len(self.objects[plural]) else {}
        listed = {"apiVersion": version, "kind": f"{KINDS[plural]}List"}
        return reply(200, listed | {"metadata": {"resourceVersion": "10"} | token, "items": [o | typed for o in items]})
