"""Machine, TalosConfig and MetalMachine on the wire."""

from guards.simulator.conditions import provider_id
from guards.simulator.records import MachineRecord, Pool, Record, Template
from guards.simulator.wire import (
    INFRASTRUCTURE_GROUP,
    Object,
    conditions,
    envelope,
    instant,
    old_condition,
    reference,
)

TALOS = "v1.12.0"
"""Version of every machine's Talos."""
CANARY = "SIMULATED-ADMIN-CREDENTIAL"
"""Stands where CABPT writes an admin talosconfig into a status: must never be printed or kept by a reader."""


def machine(record: MachineRecord, capi: str, namespace: str) -> Object:
    return envelope(record, capi, namespace, _machine_spec(record, capi, namespace), _machine_status(record, capi))


def template_spec(template: Template, cluster: str, capi: str, namespace: str) -> Object:
    """spec.template.spec of MachineDeployments and MachineSets."""
    return {
        "clusterName": cluster,
        "version": template.version,
        "bootstrap": {"configRef": reference("TalosConfigTemplate", template.config, capi, namespace)},
        "infrastructureRef": reference("MetalMachineTemplate", template.infrastructure, capi, namespace),
    }


def _machine_spec(record: MachineRecord, capi: str, namespace: str) -> Object:
    bootstrap: Object = {"configRef": reference("TalosConfig", record.config.name, capi, namespace)}
    if record.bootstrap_ready:
        bootstrap["dataSecretName"] = f"{record.name}-bootstrap-data"
    spec: Object = {
        "clusterName": record.labels["cluster.x-k8s.io/cluster-name"],
        "version": record.template.version,
        "bootstrap": bootstrap,
        "infrastructureRef": reference("MetalMachine", record.infrastructure.name, capi, namespace),
    }
    if record.node_seen:
        spec["providerID"] = provider_id(record)
    return spec


def _machine_status(record: MachineRecord, capi: str) -> Object:
    if not record.conditions:
        return {}
    new = conditions(record.conditions, record.observed)
    status: Object = {"observedGeneration": record.observed, "phase": _phase(record)}
    if capi == "v1beta2":
        status["initialization"] = {
            "bootstrapDataSecretCreated": record.bootstrap_ready,
            "infrastructureProvisioned": record.infrastructure_ready,
        }
        status["conditions"] = new
        status["deprecated"] = {"v1beta1": {"conditions": _old_conditions(record)}}
    else:
        status["bootstrapReady"] = record.bootstrap_ready
        status["infrastructureReady"] = record.infrastructure_ready
        status["conditions"] = _old_conditions(record)
        status["v1beta2"] = {"conditions": new}
    return status | _node_status(record, capi) | _addresses(record) | _deletion(record)


def _phase(record: MachineRecord) -> str:
    if record.deleted is not None:
        return "Deleting"
    if record.node_seen:
        return "Running"
    if record.infrastructure_ready:
        return "Provisioned"
    return "Provisioning" if record.bootstrap_ready else "Pending"


def _old_conditions(record: MachineRecord) -> list[Object]:
    """The v1beta1 conditions: their Ready looks neither at the Node nor at the deletion. Reading it is a mistake."""
    bootstrap, infrastructure = record.conditions["BootstrapConfigReady"], record.conditions["InfrastructureReady"]
    node = record.conditions["NodeHealthy"]
    up = record.bootstrap_ready and record.infrastructure_ready
    ready = old_condition("Ready", "True" if up else "False", max(bootstrap.since, infrastructure.since), "Waiting")
    return [
        old_condition("BootstrapReady", bootstrap.status, bootstrap.since, "WaitingForDataSecret"),
        old_condition("InfrastructureReady", infrastructure.status, infrastructure.since, "WaitingForInfrastructure"),
        old_condition("NodeHealthy", node.status, node.since, "NodeProvisioning", node.message),
        ready,
    ]


def _node_status(record: MachineRecord, capi: str) -> Object:
    if not record.node_seen or record.node is None:
        return {}
    reference_: Object = {"name": record.node_seen}
    if capi != "v1beta2":
        reference_ |= {"apiVersion": "v1", "kind": "Node", "uid": record.node.boot_id}
    return {
        "nodeRef": reference_,
        "nodeInfo": {
            "architecture": "amd64",
            "bootID": record.node.boot_id,
            "containerRuntimeVersion": "containerd://2.1.4",
            "kernelVersion": "6.12.43-talos",
            "kubeProxyVersion": "",
            "kubeletVersion": record.template.version,
            "machineID": record.uid.replace("-", ""),
            "operatingSystem": "linux",
            "osImage": f"Talos ({TALOS})",
            "systemUUID": record.infrastructure.uid,
        },
    }


def _addresses(record: MachineRecord) -> Object:
    """Known from the infrastructure: long before there is a Node."""
    if not record.infrastructure_ready:
        return {}
    found = [{"type": "InternalIP", "address": address} for address in (*record.virtual, record.address)]
    if record.node_seen:
        found.append({"type": "Hostname", "address": record.node_seen})
    return {"addresses": found}


def _deletion(record: MachineRecord) -> Object:
    return {"deletion": {"nodeDrainStartTime": instant(record.drain_started)}} if record.drain_started else {}


def infrastructure_machine(record: Record, capi: str, namespace: str) -> Object:
    owner = record.owner
    assert isinstance(owner, MachineRecord)
    body = envelope(record, capi, namespace, {"serverClassRef": {"kind": "ServerClass", "name": "any"}}, {})
    body["metadata"]["annotations"] = {
        "cluster.x-k8s.io/cloned-from-name": owner.template.infrastructure,
        "cluster.x-k8s.io/cloned-from-groupkind": f"MetalMachineTemplate.{INFRASTRUCTURE_GROUP}",
    }
    if owner.infrastructure_ready:
        body["spec"]["providerID"] = provider_id(owner)
        body["status"] = {"ready": True}
    return body


def talos_config(record: Record, capi: str, namespace: str) -> Object:
    owner = record.owner
    assert isinstance(owner, MachineRecord)
    status: Object = {"ready": False}
    if owner.bootstrap_ready:
        status = {"ready": True, "dataSecretName": f"{owner.name}-bootstrap-data", "talosConfig": CANARY}
    return envelope(record, capi, namespace, talos_spec(owner.pool, owner.template.config), status)


def talos_spec(pool: Pool, revision: str) -> Object:
    """The Talos configuration of one revision. Equal revisions give equal specs, others differ."""
    return {
        "generateType": "controlplane" if pool.scope == "control-plane" else "worker",
        "talosVersion": "v1.12",
        "strategicPatches": [f"machine:\n  nodeAnnotations:\n    revision: {revision}\n"],
    }
