"""Words that several exported files share: names of accounts, labels, metadata."""

from typing import Any

Manifest = dict[str, Any]
"""One Kubernetes object, or a part of one, as it is written to YAML."""

RUNNER = "capi-rollout-runner"
"""ServiceAccount of every step that only looks."""
REMEDIATOR = "capi-rollout-remediator"
"""ServiceAccount of the acting steps, only where the site enables remediation."""
SENSOR = "capi-rollout-sensor"
EVENT_SOURCE = "capi-rollout-event-source"
BACKSTOP = "capi-rollout-backstop"

SYNC_WAVE = "argocd.argoproj.io/sync-wave"
PART_OF = {"app.kubernetes.io/part-of": "capi-rollout"}


def manifest(api_version: str, kind: str, metadata: Manifest, **body: Any) -> Manifest:
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}


def metadata(name: str, namespace: str, **more: Any) -> Manifest:
    """Metadata of one of our own objects; the namespace is explicit, kustomize never sets it."""
    return {"name": name, "namespace": namespace, "labels": dict(PART_OF), **more}
