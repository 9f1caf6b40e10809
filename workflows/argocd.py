"""What Argo CD must know about the kinds in the cluster overlays: two health checks in Lua, as a patch of argocd-cm.

Argo CD opens only Lua's base, table and a few functions of os for them: no string library.
"""

from guards.kube.access import MACHINE_DEPLOYMENT, TALOS_CONTROL_PLANE, Kind
from workflows.manifests import Manifest

MACHINE_DEPLOYMENT_HEALTH = """\
local message = "supervised by capi-rollout-orchestrator"
if obj.status ~= nil and obj.status.phase ~= nil then
  message = obj.status.phase .. ", " .. message
end
if obj.spec.paused then
  message = "paused, " .. message
end
return {status = "Healthy", message = message}
"""
"""Always Healthy: wave 0 must never wait for wave -1. Argo CD's own check makes it wait until the MachineDeployment is
Running. On a Kubernetes minor update the workers' replacement waits for the control plane, which is in wave 0, and in a
new cluster the first worker does: neither would ever move. Paused (Suspended) would hold wave 0 back as well."""

TALOS_CONTROL_PLANE_HEALTH = """\
local spec, status, annotations = obj.spec, obj.status or {}, obj.metadata.annotations or {}
local function health(name, message)
  return {status = name, message = message}
end
if annotations["cluster.x-k8s.io/paused"] ~= nil then
  return health("Suspended", "paused: no machine is replaced or created")
end
if status.failureMessage ~= nil then
  return health("Degraded", status.failureMessage)
end
if status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "the provider has not seen this generation yet")
end
local found = {}
for _, condition in ipairs(status.conditions or {}) do
  found[condition.type] = condition
end
for _, name in ipairs({"MachinesSpecUpToDate", "Resized", "EtcdClusterHealthyCondition", "Ready"}) do
  local condition = found[name]
  if condition ~= nil and condition.status ~= "True" then
    return health("Progressing", name .. ": " .. (condition.message or condition.reason or condition.status))
  end
end
if found["Ready"] == nil or status.version ~= spec.version then
  return health("Progressing", "Ready or the version is not reported yet")
end
return health("Healthy", "by the provider's own account; capi-rollout-orchestrator looks at the machines")
"""
"""Argo CD has none for this kind. For display: it is in the last wave, which waits for nothing."""


def health_patch() -> Manifest:
    """Without a namespace, so that it fits an argocd-cm that has none in its file (as in Argo CD's install.yaml)."""
    checks = {MACHINE_DEPLOYMENT: MACHINE_DEPLOYMENT_HEALTH, TALOS_CONTROL_PLANE: TALOS_CONTROL_PLANE_HEALTH}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "argocd-cm"},
        "data": {_key(kind): lua for kind, lua in checks.items()},
    }


def _key(kind: Kind) -> str:
    return f"resource.customizations.health.{kind.group}_{kind.name}"
