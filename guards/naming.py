"""Names that two sides must agree on: the trigger makes them, the guards look for them. And how long runs are kept."""

from datetime import timedelta

WORKFLOW_TEMPLATE = "capi-rollout-orchestrator"

RUN_LABELS = {
    "capi-rollout/cluster": "clusterName",
    "capi-rollout/namespace": "clusterNamespace",
    "capi-rollout/scope": "scope",
}
"""Labels of every run, and the parameter whose value each one carries."""

RUN_KEPT = timedelta(days=7)
"""How long the WorkflowTemplate lets a run stand after its end: a younger generation without a run has had none."""

TALOS_FOLDER = "/var/run/capi-rollout/talos"
"""Where the acting steps find the Talos credentials, one file per cluster: `<namespace>.<cluster>`."""

CLUSTER_LABEL = "cluster.x-k8s.io/cluster-name"
CONTROL_PLANE_LABEL = "cluster.x-k8s.io/control-plane"
PAUSED_ANNOTATION = "cluster.x-k8s.io/paused"
SKIP_REMEDIATION = "cluster.x-k8s.io/skip-remediation"
REMEDIATE_MACHINE = "cluster.x-k8s.io/remediate-machine"
HOLD_ANNOTATION = "capi-rollout/hold"


def triggered_workflow(control_plane: str, uid: str, generation: int | str) -> str:
    """Name of the Workflow that one generation of a TalosControlPlane starts, however often it is announced.

    The Sensor builds the same name with Sprig (`trunc 30 | trimSuffix "-"`, `trunc 8`), so a duplicate is
    AlreadyExists. At most 30 + 8 + 19 + 7 characters: inside Argo's 63 for every generation below 10^18.
    """
    return f"capi-{control_plane[:30].removesuffix('-')}-{uid[:8]}-g{generation}"
