"""What a machine was made from: the fields whose difference makes Cluster API replace it.

TalosConfigs hold secrets: of each field only a fingerprint leaves this module.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from guards.kube.fields import annotation, text
from guards.kube.ports import Object

Fingerprints = Mapping[str, str]
"""Field name -> short hash of its value, empty fields left out."""

CLONED_FROM_NAME = "cluster.x-k8s.io/cloned-from-name"
CLONED_FROM_KIND = "cluster.x-k8s.io/cloned-from-groupkind"


def talos_fingerprints(spec: Mapping[str, Any]) -> Fingerprints:
    """A TalosConfigSpec by field. Absent and empty are one thing here, as Go writes them."""
    return {key: _hash(value) for key, value in sorted(spec.items()) if value not in (None, "", [], {})}


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(_plain(value), sort_keys=True).encode()).hexdigest()[:8]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items() if entry not in (None, "", [], {})}
    return [_plain(entry) for entry in value] if isinstance(value, list) else value


def talos_differences(have: Fingerprints, want: Fingerprints) -> list[str]:
    """`controlPlaneConfig.configPatches 1a2b3c4d, wanted 5e6f7a8b`, one per field."""
    return [
        f"controlPlaneConfig.{field} {have.get(field, 'absent')}, wanted {want.get(field, 'absent')}"
        for field in sorted({*have, *want})
        if have.get(field) != want.get(field)
    ]


def cloned_from(item: Object) -> tuple[str, str] | None:
    """(template name, `Kind.group`) an infrastructure machine was cloned from; None where it does not say."""
    name, kind = annotation(item, CLONED_FROM_NAME), annotation(item, CLONED_FROM_KIND)
    return (name, kind) if name and kind else None


def template_fields(item: Object) -> dict[str, str]:
    """The fields of a MachineDeployment's or MachineSet's machine template that make a rollout when they change."""
    spec = ("spec", "template", "spec")
    return {
        "version": text(item, *spec, "version"),
        "bootstrap": _reference(item, *spec, "bootstrap", "configRef"),
        "infrastructure": _reference(item, *spec, "infrastructureRef"),
        "failureDomain": text(item, *spec, "failureDomain"),
    }


def _reference(item: Object, *path: str) -> str:
    """`Kind name`, the same for an ObjectReference (v1beta1) and a ContractVersionedObjectReference (v1beta2)."""
    return f"{text(item, *path, 'kind')} {text(item, *path, 'name')}".strip()


def template_differences(have: Mapping[str, str], want: Mapping[str, str]) -> tuple[str, ...]:
    """`version v1.35.0, wanted v1.35.1`, one per field."""
    return tuple(
        f"{field} {have[field] or 'absent'}, wanted {want[field] or 'absent'}"
        for field in want
        if have[field] != want[field]
    )
