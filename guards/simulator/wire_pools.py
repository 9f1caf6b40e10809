"""Cluster, TalosControlPlane, MachineDeployment and MachineSet on the wire."""

from guards.simulator.records import ClusterRecord, Condition, Pool, SetRecord
from guards.simulator.wire import Object, api_version, conditions, envelope, old_condition, reference
from guards.simulator.wire_machines import talos_spec, template_spec


def cluster(record: ClusterRecord, capi: str, namespace: str) -> Object:
    always = {"ControlPlaneInitialized": "Initialized", "InfrastructureReady": "Ready"}
    found = {type_: Condition("True", reason, "", record.created) for type_, reason in always.items()}
    found["RemoteConnectionProbe"] = record.probe
    new = conditions(found, record.generation)
    spec: Object = {
        "infrastructureRef": reference("MetalCluster", record.name, capi, namespace),
        "controlPlaneRef": reference("TalosControlPlane", record.control_plane, capi, namespace),
    }
    if record.paused:
        spec["paused"] = True
    status: Object = {"observedGeneration": record.observed, "phase": "Provisioned"}
    if capi == "v1beta2":
        status["initialization"] = {"infrastructureProvisioned": True, "controlPlaneInitialized": True}
        status["conditions"] = new
    else:
        status |= {"infrastructureReady": True, "controlPlaneReady": True}
        status["conditions"] = [old_condition("ControlPlaneInitialized", "True", record.created)]
        status["v1beta2"] = {"conditions": new}
    return envelope(record, capi, namespace, spec, status)


def control_plane(record: Pool, capi: str, namespace: str) -> Object:
    strategy: Object = {"type": record.strategy}
    if record.max_surge is not None:
        strategy["rollingUpdate"] = {"maxSurge": record.max_surge}
    spec = {
        "replicas": record.replicas,
        "version": record.template.version,
        "infrastructureTemplate": {
            "apiVersion": api_version("MetalMachineTemplate", capi),
            "kind": "MetalMachineTemplate",
            "name": record.template.infrastructure,
            "namespace": namespace,
        },
        "controlPlaneConfig": {"controlplane": talos_spec(record, record.template.config)},
        "rolloutStrategy": strategy,
    }
    return envelope(record, capi, namespace, spec, _control_plane_status(record))


def _control_plane_status(record: Pool) -> Object:
    facts, since = record.status, record.created
    if not facts:
        return {}
    found = [
        old_condition("Available", "True", since),
        old_condition("EtcdClusterHealthyCondition", str(facts["etcd"]), since, "EtcdClusterUnhealthy"),
        old_condition("MachinesCreated", "True", since),
    ]
    if "rolling" in facts:
        found.append(old_condition("MachinesSpecUpToDate", str(not facts["rolling"]), since, "RollingUpdateInProgress"))
    return {
        "replicas": facts["replicas"],
        "readyReplicas": facts["ready"],
        "unavailableReplicas": facts["unavailable"],
        "version": facts["version"],
        "initialized": True,
        "ready": facts["ready"] != 0,
        "bootstrapped": True,
        "observedGeneration": record.observed,
        "conditions": found,
    }


def deployment(record: Pool, capi: str, namespace: str) -> Object:
    rolling = {"maxSurge": record.max_surge, "maxUnavailable": record.max_unavailable}
    strategy: Object = {"type": record.strategy}
    if record.strategy == "RollingUpdate":
        strategy["rollingUpdate"] = {key: value for key, value in rolling.items() if value is not None}
    spec = _replicated(record.name, record.replicas, record, capi, namespace)
    if capi == "v1beta2":
        spec["rollout"] = {"strategy": strategy}
    else:
        spec["strategy"] = strategy
    if record.paused:
        spec["paused"] = True
    return envelope(record, capi, namespace, spec, _counters(record, capi))


def machine_set(record: SetRecord, capi: str, namespace: str) -> Object:
    spec = _replicated(record.deployment.name, record.replicas, record, capi, namespace)
    return envelope(record, capi, namespace, spec, _counters(record, capi))


def _replicated(selector: str, replicas: int, record: Pool | SetRecord, capi: str, namespace: str) -> Object:
    cluster_name = record.labels["cluster.x-k8s.io/cluster-name"]
    labels = {"cluster.x-k8s.io/cluster-name": cluster_name, "cluster.x-k8s.io/deployment-name": selector}
    return {
        "clusterName": cluster_name,
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": template_spec(record.template, cluster_name, capi, namespace),
        },
    }


def _counters(record: Pool | SetRecord, capi: str) -> Object:
    facts = record.status
    if not facts:
        return {}
    replicas, available = facts["replicas"], facts["available"]
    new = {"readyReplicas": available, "availableReplicas": available, "upToDateReplicas": facts["upToDate"]}
    old: Object = {"readyReplicas": available, "availableReplicas": available}
    if "updated" in facts:
        old["updatedReplicas"] = facts["updated"]
    blocked = facts.get("blocked")
    found = {"ScalingUp": Condition("True", "ScalingUp", f"* {blocked}", record.created)} if blocked else {}
    new_conditions = conditions(found, record.observed)
    status: Object = {"replicas": replicas, "observedGeneration": record.observed}
    if capi == "v1beta2":
        return status | new | {"conditions": new_conditions, "deprecated": {"v1beta1": old}}
    return status | old | {"v1beta2": new | {"conditions": new_conditions}}
