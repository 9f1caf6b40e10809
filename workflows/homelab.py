"""The overlay of one cluster: TalosConfigTemplates, MachineDeployments and the TalosControlPlane, in sync waves.

In a commit that changes all of them, the workers' objects are applied before the TalosControlPlane's update starts the
run. Strategies are the ones a cluster without a spare machine needs: old machine first, one at a time.
"""

import hashlib
import json

from guards.kube.access import (
    BOOTSTRAP,
    MACHINE_DEPLOYMENT,
    TALOS_CONFIG_TEMPLATE,
    TALOS_CONTROL_PLANE,
    Kind,
)
from guards.naming import CLUSTER_LABEL
from workflows.manifests import SYNC_WAVE, Manifest, manifest
from workflows.site import Cluster, ControlPlane, Pool

DEPLOYMENT_LABEL = "cluster.x-k8s.io/deployment-name"
ARGOCD = "argocd.argoproj.io"


def talos_config_template(cluster: Cluster, pool: Pool) -> Manifest:
    """Wave -2. Immutable, so its name carries a hash of its content; old ones stay while MachineSets refer to them."""
    return manifest(
        _api(TALOS_CONFIG_TEMPLATE),
        TALOS_CONFIG_TEMPLATE.name,
        _metadata(
            cluster,
            _config_name(pool),
            "-2",
            {f"{ARGOCD}/sync-options": "Prune=false", f"{ARGOCD}/compare-options": "IgnoreExtraneous"},
        ),
        spec={"template": {"spec": _config("worker", pool)}},
    )


def machine_deployment(cluster: Cluster, pool: Pool) -> Manifest:
    """Wave -1."""
    labels = {CLUSTER_LABEL: cluster.name, DEPLOYMENT_LABEL: pool.name}
    return manifest(
        _api(MACHINE_DEPLOYMENT),
        MACHINE_DEPLOYMENT.name,
        _metadata(cluster, pool.name, "-1"),
        spec={
            "clusterName": cluster.name,
            "replicas": pool.replicas,
            "selector": {"matchLabels": dict(labels)},
            "rollout": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "clusterName": cluster.name,
                    "version": pool.version,
                    "bootstrap": {
                        "configRef": {
                            "apiGroup": BOOTSTRAP,
                            "kind": TALOS_CONFIG_TEMPLATE.name,
                            "name": _config_name(pool),
                        }
                    },
                    "infrastructureRef": {
                        "apiGroup": cluster.infrastructure.group,
                        "kind": cluster.infrastructure.templates,
                        "name": pool.machine_template,
                    },
                },
            },
        },
    )


def talos_control_plane(cluster: Cluster, pool: ControlPlane) -> Manifest:
    """Wave 0: the last one, because its change starts the run."""
    infrastructure = cluster.infrastructure
    return manifest(
        _api(TALOS_CONTROL_PLANE),
        TALOS_CONTROL_PLANE.name,
        _metadata(cluster, pool.name, "0"),
        spec={
            "replicas": pool.replicas,
            "version": pool.version,
            "rolloutStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0}},
            "infrastructureTemplate": {
                "apiVersion": f"{infrastructure.group}/{infrastructure.version}",
                "kind": infrastructure.templates,
                "name": pool.machine_template,
                "namespace": cluster.namespace,
            },
            "controlPlaneConfig": {"controlplane": _config("controlplane", pool)},
        },
    )


def _api(kind: Kind) -> str:
    return f"{kind.group}/{kind.versions[0]}"


def _metadata(cluster: Cluster, name: str, wave: str, annotations: dict[str, str] | None = None) -> Manifest:
    return {
        "name": name,
        "namespace": cluster.namespace,
        "labels": {CLUSTER_LABEL: cluster.name},
        "annotations": {SYNC_WAVE: wave, **(annotations or {})},
    }


def _config(generate_type: str, pool: Pool) -> Manifest:
    patches = {"strategicPatches": list(pool.strategic_patches)} if pool.strategic_patches else {}
    return {"generateType": generate_type, "talosVersion": pool.talos_version, **patches}


def _config_name(pool: Pool) -> str:
    content = json.dumps(_config("worker", pool), sort_keys=True).encode()
    return f"{pool.name}-{hashlib.sha256(content).hexdigest()[:8]}"
