"""What Argo CD itself must know before the sync waves of the cluster overlays can work."""

from guards.kube.access import MACHINE_DEPLOYMENT
from workflows.manifests import Manifest

ALWAYS_HEALTHY = """\
local message = "supervised by capi-rollout-orchestrator"
if obj.status ~= nil and obj.status.phase ~= nil then
  message = obj.status.phase .. ", " .. message
end
return {status = "Healthy", message = message}
"""
"""Lua. Argo CD's own check makes wave 0 wait until the MachineDeployment is Running. On a Kubernetes minor update the
workers' replacement waits for the control plane, which is in wave 0: neither would ever move."""


def health_patch() -> Manifest:
    """For `kubectl -n argocd patch configmap argocd-cm --patch-file FILE`, or a kustomize patch of that ConfigMap."""
    check = f"resource.customizations.health.{MACHINE_DEPLOYMENT.group}_{MACHINE_DEPLOYMENT.name}"
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "argocd-cm", "namespace": "argocd"},
        "data": {check: ALWAYS_HEALTHY},
    }
