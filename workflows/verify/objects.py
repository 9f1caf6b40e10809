"""One Kubernetes object of the tree, with the place of everything in it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from guards.kube.access import (
    ARGO,
    CLUSTER,
    MACHINE_DEPLOYMENT,
    TALOS_CONFIG_TEMPLATE,
    TALOS_CONTROL_PLANE,
    WORKFLOW_TEMPLATE_KIND,
    Kind,
)
from workflows.verify.located import Node, Place

FLUX = "kustomize.toolkit.fluxcd.io"

EVENT_SOURCE = Kind("EventSource", ARGO, "eventsources", ("v1alpha1",))
SENSOR = Kind("Sensor", ARGO, "sensors", ("v1alpha1",))

JUDGED = (
    CLUSTER,
    MACHINE_DEPLOYMENT,
    TALOS_CONFIG_TEMPLATE,
    TALOS_CONTROL_PLANE,
    WORKFLOW_TEMPLATE_KIND,
    EVENT_SOURCE,
    SENSOR,
)
"""Kinds that rules are about. A tree without any of them has not been verified."""

ANY_NAMESPACE = ""
"""An object that names no namespace goes where its Application or Kustomization says."""


@dataclass(frozen=True)
class Object:
    """As it would be applied: read from a file, with the patches of its kustomizations."""

    root: Node

    @cached_property
    def kind(self) -> str:
        return self.root.text("kind")

    @cached_property
    def group(self) -> str:
        return self.root.text("apiVersion").rpartition("/")[0]

    @cached_property
    def version(self) -> str:
        return self.root.text("apiVersion").rpartition("/")[2]

    @cached_property
    def name(self) -> str:
        return self.root.text("metadata", "name") or self.root.text("metadata", "generateName")

    @cached_property
    def namespace(self) -> str:
        return self.root.text("metadata", "namespace")

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.group, self.kind, self.namespace, self.name

    @cached_property
    def plain(self) -> Any:
        return self.root.plain()

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    def is_a(self, kind: Kind) -> bool:
        return self.kind == kind.name and self.group == kind.group

    @property
    def judged(self) -> bool:
        return any(self.is_a(kind) for kind in JUDGED) or self.is_machine_template

    @property
    def is_machine_template(self) -> bool:
        """An infrastructure provider's template, like MetalMachineTemplate."""
        return self.kind.endswith("MachineTemplate") and self.group.startswith("infrastructure.")

    def annotation(self, key: str) -> Node | None:
        return self.root.at("metadata", "annotations", key)

    def label(self, key: str) -> str:
        return self.root.text("metadata", "labels", key)

    def place(self, *path: str | int) -> Place:
        """Of the value, or where it belongs when it is absent."""
        return self.root.nearest(*path)[0].place


def objects_in(document: Node) -> list[Object]:
    """A document's object, or those of a List; none in one that has no kind."""
    if not document.text("kind") or not document.text("apiVersion"):
        return []
    if document.text("kind") == "List" and document.text("apiVersion") == "v1":
        return [found for item in document.items("items") for found in objects_in(item)]
    return [Object(document)]
