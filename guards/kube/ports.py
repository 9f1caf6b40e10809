"""The two doors to the outside: the management cluster, and time. The real client and the simulator implement both."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Protocol, TypeVar

from guards.kube.access import Kind

T = TypeVar("T")

Object = dict[str, Any]
"""One API object as JSON, exactly as the API server sends it."""


class ManagementCluster(Protocol):
    """One namespace's objects. Every method raises guards.kube.errors.

    A write is sent once and never repeated: Unreachable from one of them means that nobody knows whether it was done.
    """

    def served_version(self, kind: Kind) -> str:
        """The first of `kind.versions` that is served. NotServed when there is none."""
        ...

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """One object. NotFound when it does not exist."""
        ...

    def list(self, kind: Kind, namespace: str, labels: str, read: "Callable[[Object], T]") -> "list[T]":
        """All objects with these labels (`key=value`), each passed through `read` and then dropped.

        Whole and consistent, or an error: half a list is never returned.
        """
        ...

    def allowed(self, verb: str, group: str, resource: str, namespace: str) -> bool:
        """Whether the caller may do this (SelfSubjectAccessReview)."""
        ...

    def create(self, kind: Kind, namespace: str, body: Object) -> Object:
        """Create one object; the stored one. Conflict when the name is taken."""
        ...

    def update(self, kind: Kind, namespace: str, body: Object) -> Object:
        """Replace one object whose metadata.resourceVersion is still the one in `body` (Conflict when not)."""
        ...

    def delete(self, kind: Kind, namespace: str, name: str, uid: str, resource_version: str) -> None:
        """Delete exactly this object in exactly this state. Conflict when it has another UID or resourceVersion."""
        ...

    def watch(self, kinds: Iterable[Kind], namespace: str, labels: str) -> None:
        """From now on let `Clock.wait` return early when an object of these kinds changes."""
        ...


class Clock(Protocol):
    """Time enters here and nowhere else."""

    def now(self) -> datetime:
        """The present instant, UTC, never running backwards, in step with the API server's clock."""
        ...

    def wait(self, seconds: float) -> frozenset[Kind]:
        """Sleep, but not longer than `seconds`, and less when a watched kind changed: those kinds are returned."""
        ...
