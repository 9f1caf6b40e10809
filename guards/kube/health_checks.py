"""MachineHealthChecks: what else may delete a Machine of this Cluster, and after how long without a node."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from guards.core.model import HealthCheck
from guards.kube.errors import Malformed
from guards.kube.fields import describe, items, mapping, required, text, whole
from guards.kube.ports import Object

DEFAULT_STARTUP = timedelta(minutes=10)
"""Cluster API's own, where the field is absent."""

_GO_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@dataclass(frozen=True, slots=True)
class HealthCheckRow:
    name: str
    cluster: str
    startup_timeout: timedelta | None
    labels: Mapping[str, str]
    expressions: tuple[tuple[str, str, tuple[str, ...]], ...]
    """(key, operator, values)."""


def health_check_row(item: Object, version: str) -> HealthCheckRow:
    selector = ("spec", "selector")
    expressions = tuple(
        (text(row, "key"), text(row, "operator"), tuple(str(value) for value in row.get("values") or ()))
        for row in items(item, *selector, "matchExpressions")
    )
    return HealthCheckRow(
        name=required(item, "metadata", "name"),
        cluster=text(item, "spec", "clusterName"),
        startup_timeout=_startup(item, version),
        labels={key: str(value) for key, value in mapping(item, *selector, "matchLabels").items()},
        expressions=expressions,
    )


def _startup(item: Object, version: str) -> timedelta | None:
    """0 disables it."""
    if version == "v1beta2":
        seconds = whole(item, "spec", "checks", "nodeStartupTimeoutSeconds")
        period = DEFAULT_STARTUP if seconds is None else timedelta(seconds=seconds)
    else:
        written = text(item, "spec", "nodeStartupTimeout")
        period = _go_duration(item, written) if written else DEFAULT_STARTUP
    return period or None


def _go_duration(item: Object, written: str) -> timedelta:
    """As Go prints one: `10m0s`, `1h`, `0s`, `0`."""
    parts = _GO_PART.findall(written)
    if "".join(number + unit for number, unit in parts) != written and written != "0":
        raise Malformed(f"{describe(item)}: nodeStartupTimeout is {written[:40]!r}, expected a duration like 10m0s")
    return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in parts))


def selects(check: HealthCheckRow, labels: Mapping[str, str]) -> bool:
    """Whether the check's label selector matches a Machine with these labels. An unheard-of operator matches."""
    if any(labels.get(key) != value for key, value in check.labels.items()):
        return False
    return all(_holds(labels, *expression) for expression in check.expressions)


def _holds(labels: Mapping[str, str], key: str, operator: str, values: tuple[str, ...]) -> bool:
    match operator:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return True


def health_checks(
    rows: Iterable[HealthCheckRow], cluster: str, machines: Iterable[tuple[str, Mapping[str, str]]]
) -> tuple[HealthCheck, ...]:
    """The checks of this Cluster, each with the names of the Machines it selects. `machines`: (name, labels)."""
    known = list(machines)
    return tuple(
        HealthCheck(row.name, row.startup_timeout, tuple(name for name, labels in known if selects(row, labels)))
        for row in sorted(rows, key=lambda row: row.name)
        if row.cluster == cluster
    )
