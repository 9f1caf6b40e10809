"""Events on the Machine and on the Cluster for every act: seen by `kubectl describe`, kept by whoever collects them."""

from guards.core.ledger import Act
from guards.core.model import Snapshot
from guards.kube.access import CLUSTER, EVENT, EVENTS, MACHINE, Kind
from guards.kube.errors import KubeError
from guards.kube.ports import Clock, ManagementCluster, Object
from guards.parameters import Parameters
from guards.text import printable

NOTE_LIMIT = 1_000
"""The API server takes 1024 bytes."""
REPORTER = "capi-rollout"


def announce(cluster: ManagementCluster, clock: Clock, parameters: Parameters, snapshot: Snapshot, act: Act) -> None:
    """One Event on each of the two objects. A failing one changes nothing: the Lease is the record."""
    namespace, version = parameters.cluster_namespace, cluster.served_version
    about = ((MACHINE, act.machine, act.uid), (CLUSTER, snapshot.cluster.name, snapshot.cluster.uid))
    for kind, name, uid in about:
        try:
            regarding = _reference(kind, version(kind), namespace, name, uid)
            cluster.create(EVENT, namespace, _event(clock, parameters, regarding, act))
        except KubeError:
            continue


def _reference(kind: Kind, version: str, namespace: str, name: str, uid: str) -> Object:
    return {
        "apiVersion": f"{kind.group}/{version}",
        "kind": kind.name,
        "namespace": namespace,
        "name": name,
        "uid": uid,
    }


def _event(clock: Clock, parameters: Parameters, regarding: Object, act: Act) -> Object:
    return {
        "apiVersion": f"{EVENTS}/{EVENT.versions[0]}",
        "kind": EVENT.name,
        "metadata": {
            "name": f"capi-rollout-{act.action}-{act.uid[:8]}-{regarding['kind'].lower()}",
            "namespace": parameters.cluster_namespace,
        },
        "eventTime": clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": REPORTER,
        "reportingInstance": f"{parameters.workflow_namespace}/{parameters.workflow_name}"[:128],
        "action": act.action.capitalize(),
        "reason": f"Remediation{act.action.capitalize()}",
        "type": "Warning",
        "regarding": regarding,
        "note": printable(f"{act}: {act.why}", NOTE_LIMIT),
    }
