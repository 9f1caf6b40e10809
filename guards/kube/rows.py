"""One API object -> one row: the fields that matter, by the API version it was read at. The only place with paths.

Rows are still one object each; `assemble` joins them into a Snapshot. All functions raise Malformed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from guards.core.model import ClusterFacts, Ready, Strategy
from guards.kube.conditions import Condition, condition, has_new_conditions, path
from guards.kube.fields import (
    annotation,
    controller,
    flag,
    instant,
    int_or_text,
    items,
    label,
    mapping,
    replicas,
    required,
    string_map,
    text,
    whole,
)
from guards.kube.ports import Object
from guards.kube.templates import Fingerprints, cloned_from, talos_fingerprints, template_fields
from guards.naming import (
    CONTROL_PLANE_LABEL,
    HOLD_ANNOTATION,
    PAUSED_ANNOTATION,
    REMEDIATE_MACHINE,
    SKIP_REMEDIATION,
)

DARK_REASONS = {"ConnectionDown", "InternalError", "InspectionFailed"}
"""Reasons of NodeHealthy=Unknown that say "Cluster API cannot see", not "the Node is unwell"."""


@dataclass(frozen=True, slots=True)
class MachineRow:
    name: str
    uid: str
    resource_version: str
    cluster: str
    control_plane: bool
    owner: tuple[str, str]
    """(kind, uid) of the controller; ("", "") when there is none."""
    created_at: datetime
    deleting_since: datetime | None
    deletion: str
    ready: Condition
    dark: bool
    connection_down: bool
    node: str
    infrastructure_ready: bool
    version: str
    bootstrap: str
    infrastructure: str
    paused: bool
    old_conditions: bool
    addresses: tuple[str, ...]
    hands_off: tuple[str, ...]
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PoolRow:
    kind: str
    name: str
    uid: str
    cluster: str
    owner: tuple[str, str]
    generation: int
    replicas: int
    strategy: Strategy
    paused: bool
    deleting: bool
    created_at: datetime
    status_replicas: int
    version: str = ""
    """TalosControlPlane: spec.version."""
    template: Mapping[str, str] = field(default_factory=dict)
    """MachineDeployment and MachineSet: template_fields."""
    rollout_after: datetime | None = None
    infrastructure: tuple[str, str] = ("", "")
    """TalosControlPlane: (template name, `Kind.group`)."""
    infrastructure_version: str = ""
    talos: Fingerprints | None = None


def cluster_row(item: Object, version: str) -> ClusterFacts:
    """The Cluster as facts; it needs no join."""
    remote = condition(item, path(version, item), "RemoteConnectionProbe")
    # v1beta1 may carry it in the older list only.
    initialized = any(
        condition(item, where, "ControlPlaneInitialized").status is Ready.TRUE
        for where in (path(version, item), ("status", "conditions"))
    )
    reference = ("spec", "controlPlaneRef")
    return ClusterFacts(
        name=required(item, "metadata", "name"),
        namespace=required(item, "metadata", "namespace"),
        uid=required(item, "metadata", "uid"),
        paused=flag(item, "spec", "paused") or _annotated_paused(item),
        deleting=instant(item, "metadata", "deletionTimestamp") is not None,
        hold=annotation(item, HOLD_ANNOTATION),
        control_plane_ref=f"{text(item, *reference, 'kind')} {text(item, *reference, 'name')}".strip()
        or "no controlPlaneRef",
        control_plane_initialized=flag(item, "status", "initialization", "controlPlaneInitialized") or initialized,
        remote_connection=remote.status,
        remote_connection_message=remote.message,
    )


def machine_row(item: Object, version: str) -> MachineRow:
    new = has_new_conditions(version, item)
    ready, healthy = _health(item, version, new)
    deleting = condition(item, path(version, item), "Deleting")
    deleting_since = instant(item, "metadata", "deletionTimestamp")
    unseen = {ready.reason, healthy.reason} & DARK_REASONS if ready.status is Ready.UNKNOWN else set()
    stale = _is_stale(item) and ready.found
    provisioned = ("initialization", "infrastructureProvisioned") if version == "v1beta2" else ("infrastructureReady",)
    return MachineRow(
        name=required(item, "metadata", "name"),
        uid=required(item, "metadata", "uid"),
        resource_version=required(item, "metadata", "resourceVersion"),
        cluster=text(item, "spec", "clusterName"),
        control_plane=label(item, CONTROL_PLANE_LABEL) is not None,
        owner=_owner(item),
        created_at=_created(item),
        deleting_since=deleting_since,
        deletion=_words(deleting) if deleting_since else "",
        ready=ready,
        dark=bool(unseen) or stale,
        connection_down="ConnectionDown" in unseen,
        node=text(item, "status", "nodeRef", "name"),
        infrastructure_ready=flag(item, "status", *provisioned),
        version=text(item, "spec", "version"),
        bootstrap=text(item, "spec", "bootstrap", "configRef", "name"),
        infrastructure=text(item, "spec", "infrastructureRef", "name"),
        paused=_annotated_paused(item),
        old_conditions=not new,
        addresses=_addresses(item),
        hands_off=tuple(_hands_off(item, version)),
        labels=string_map(item, "labels"),
    )


def _addresses(item: Object) -> tuple[str, ...]:
    """IP addresses, internal ones first."""
    found = [(text(row, "type"), text(row, "address")) for row in items(item, "status", "addresses")]
    return tuple(address for kind in ("InternalIP", "ExternalIP") for of, address in found if of == kind and address)


def _hands_off(item: Object, version: str) -> Iterator[str]:
    """Marks by which people and MachineHealthChecks claim a Machine."""
    for key in (SKIP_REMEDIATION, REMEDIATE_MACHINE):
        if annotation(item, key) is not None:
            yield f"it carries the annotation {key}"
    where = path(version, item)
    for kind in ("OwnerRemediated", "HealthCheckSucceeded", "ExternallyRemediated"):
        if condition(item, where, kind).status is Ready.FALSE:
            yield f"its condition {kind} is False: a MachineHealthCheck is at it"


def _words(deleting: Condition) -> str:
    """`DrainingNode: …` once the controller has begun; the object is marked a moment before."""
    return f"{deleting.reason}: {deleting.message}".strip(": ") if deleting.status is Ready.TRUE else ""


def _health(item: Object, version: str, new: bool) -> tuple[Condition, Condition]:
    """(Ready, NodeHealthy). v1beta1's own Ready ignores the Node, so before Cluster API 1.9 NodeHealthy stands in."""
    if new:
        where = path(version, item)
        return condition(item, where, "Ready"), condition(item, where, "NodeHealthy")
    healthy = condition(item, ("status", "conditions"), "NodeHealthy")
    return healthy, healthy


def deployment_row(item: Object, version: str) -> PoolRow:
    row = _pool_row(item, strategy(item, *deployment_strategy_path(version)))
    return replace(
        row,
        paused=row.paused or flag(item, "spec", "paused"),
        template=template_fields(item),
        rollout_after=instant(item, *rollout_after_path(version)),
    )


CONTROL_PLANE_STRATEGY = ("spec", "rolloutStrategy")


def deployment_strategy_path(version: str) -> tuple[str, ...]:
    return ("spec", "rollout", "strategy") if version == "v1beta2" else ("spec", "strategy")


def rollout_after_path(version: str) -> tuple[str, ...]:
    return ("spec", "rollout", "after") if version == "v1beta2" else ("spec", "rolloutAfter")


def machine_set_row(item: Object, version: str) -> PoolRow:
    return replace(_pool_row(item, Strategy("", None, None)), template=template_fields(item))


def control_plane_row(item: Object, version: str) -> PoolRow:
    template = ("spec", "infrastructureTemplate")
    group, _, api_version = required(item, *template, "apiVersion").rpartition("/")
    return replace(
        _pool_row(item, strategy(item, *CONTROL_PLANE_STRATEGY)),
        version=required(item, "spec", "version"),
        infrastructure=(required(item, *template, "name"), f"{required(item, *template, 'kind')}.{group}"),
        infrastructure_version=api_version,
        talos=talos_fingerprints(mapping(item, "spec", "controlPlaneConfig", "controlplane")),
    )


def _pool_row(item: Object, strategy: Strategy) -> PoolRow:
    """What a TalosControlPlane, a MachineDeployment and a MachineSet have in common."""
    return PoolRow(
        kind=required(item, "kind"),
        name=required(item, "metadata", "name"),
        uid=required(item, "metadata", "uid"),
        cluster=text(item, "spec", "clusterName"),
        owner=_owner(item),
        generation=whole(item, "metadata", "generation") or 0,
        replicas=replicas(item, "spec", "replicas"),
        strategy=strategy,
        paused=_annotated_paused(item),
        deleting=instant(item, "metadata", "deletionTimestamp") is not None,
        created_at=_created(item),
        status_replicas=whole(item, "status", "replicas") or 0,
    )


def talos_config_row(item: Object, version: str) -> tuple[str, Fingerprints]:
    """(name, fingerprints of the spec). Status and data never leave the edge."""
    return required(item, "metadata", "name"), talos_fingerprints(mapping(item, "spec"))


def infrastructure_row(item: Object, version: str) -> tuple[str, tuple[str, str] | None]:
    """(name, what it was cloned from)."""
    return required(item, "metadata", "name"), cloned_from(item)


def strategy(item: Object, *root: str) -> Strategy:
    """A rollout strategy as it is written below `root`."""
    rolling = (*root, "rollingUpdate")
    return Strategy(
        type=text(item, *root, "type") or "RollingUpdate",
        max_surge=int_or_text(item, *rolling, "maxSurge"),
        max_unavailable=int_or_text(item, *rolling, "maxUnavailable"),
    )


def _owner(item: Object) -> tuple[str, str]:
    owner = controller(item) or {}
    return text(owner, "kind"), text(owner, "uid")


def _created(item: Object) -> datetime:
    required(item, "metadata", "creationTimestamp")
    created = instant(item, "metadata", "creationTimestamp")
    assert created is not None
    return created


def _annotated_paused(item: Object) -> bool:
    return annotation(item, PAUSED_ANNOTATION) is not None


def _is_stale(item: Object) -> bool:
    observed = whole(item, "status", "observedGeneration")
    return observed is not None and observed < (whole(item, "metadata", "generation") or 0)
