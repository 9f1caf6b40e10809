"""The kustomizations, and what somebody's own one lacks. None sets `namespace:`, which would move Roles elsewhere."""

from collections.abc import Collection
from typing import Any

from workflows.manifests import Manifest
from workflows.site import Image, Site

CONFIGURATION = "capi-rollout-kustomizeconfig.yaml"
SECRET_GENERATOR = "capi-rollout-secret-generator.yaml"  # noqa: S105 - a file name

FILE_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
"""What kustomize looks for in a folder; it refuses two of them."""

TRANSFORMERS: Manifest = {
    "images": [{"group": "argoproj.io", "kind": "WorkflowTemplate", "path": "spec/templates[]/script/image"}]
}
"""Without it kustomize's `images:` does not know where a WorkflowTemplate holds one."""


def kustomization(*resources: str, **more: object) -> Manifest:
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(resources),
        **more,
    }


def component(patch: str) -> Manifest:
    """A patch that another kustomization takes in as `components: [this folder]`; it fails when nothing matches."""
    return {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component", "patches": [{"path": patch}]}


def template_kustomization(site: Site, *resources: str) -> Manifest:
    """Of the overlay with the WorkflowTemplate: pins the image, decrypts the site's secrets if it has any."""
    generators = {"generators": [SECRET_GENERATOR]} if site.secrets else {}
    return kustomization(*resources, **generators, configurations=[CONFIGURATION], images=[pin(site.image)])


def secret_generator(site: Site) -> Manifest:
    """For ksops, as an exec function: kustomize needs --enable-alpha-plugins --enable-exec."""
    return {
        "apiVersion": "viaduct.ai/v1",
        "kind": "ksops",
        "metadata": {
            "name": "capi-rollout-secrets",
            "annotations": {"config.kubernetes.io/function": "exec:\n  path: ksops\n"},
        },
        "files": [f"./{name}" for name in site.secrets],
    }


def pin(image: Image) -> Manifest:
    """Tag and digest in one field: Renovate's kustomize manager skips an entry that has both `newTag` and `digest`."""
    return {"name": image.name, "newTag": image.tag + (f"@{image.digest}" if image.digest else "")}


def lacking(wanted: Manifest, found: Manifest) -> Manifest:
    """The entries of `wanted` that `found` does not have: under the same keys, in the same form. {} when complete."""
    there = _lists(found)
    return _without_empty({key: _lacking(entries, there.get(key, [])) for key, entries in _lists(wanted).items()})


def dangling(found: Manifest, there: Collection[str]) -> Manifest:
    """The entries of `found` that name a file which is not among those `there`: kustomize would fail on them."""

    def absent(entry: Any) -> bool:
        name = _same(entry) if isinstance(entry, str) else None
        return name is not None and name.endswith((".yaml", ".yml")) and "/" not in name and name not in there

    return _without_empty({key: [each for each in entries if absent(each)] for key, entries in _lists(found).items()})


def pins(found: Manifest, name: str) -> list[Manifest]:
    """The entries of `images:` for the image of this name."""
    return [each for each in _lists(found).get("images", []) if isinstance(each, dict) and each.get("name") == name]


def _lists(content: Manifest) -> dict[str, list[Any]]:
    return {key: value for key, value in content.items() if isinstance(value, list)}


def _without_empty(lists: Manifest) -> Manifest:
    return {key: entries for key, entries in lists.items() if entries}


def _lacking(wanted: list[Any], found: list[Any]) -> list[Any]:
    there = [_same(entry) for entry in found]
    return [entry for entry in wanted if _same(entry) not in there]


def _same(entry: Any) -> Any:
    """What an entry is known by: a file by its name, an image by its name whatever its tag, a patch by its file."""
    if isinstance(entry, dict):
        entry = entry.get("name") or entry.get("path")
    return entry.removeprefix("./") if isinstance(entry, str) else None
