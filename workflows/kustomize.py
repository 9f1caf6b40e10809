"""The kustomizations. None of them sets `namespace:`, which would move Roles out of the clusters' namespaces."""

from workflows.manifests import Manifest
from workflows.site import Image, Site

CONFIGURATION = "capi-rollout-kustomizeconfig.yaml"
SECRET_GENERATOR = "capi-rollout-secret-generator.yaml"  # noqa: S105 - a file name

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


def template_kustomization(site: Site, *resources: str) -> Manifest:
    """Of the overlay with the WorkflowTemplate: pins the image, decrypts the site's secrets if it has any."""
    generators = {"generators": [SECRET_GENERATOR]} if site.secrets else {}
    return kustomization(*resources, **generators, configurations=[CONFIGURATION], images=[_pin(site.image)])


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


def _pin(image: Image) -> Manifest:
    digest = {"digest": image.digest} if image.digest else {}
    return {"name": image.name, "newTag": image.tag, **digest}
