"""Every knob of a run, once: name in the workflow, flag, environment variable, default, unit and help.

The WorkflowTemplate's arguments, the flags of `python -m guards` and `python -m workflows submit`, the environment
names and the table in docs/parameters.md are all read from `KNOBS`.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from guards.durations import parse_duration

CONTRACT = "1"
"""Version of the contract between WorkflowTemplate and image: parameter names, verbs, output files."""

ENV_PREFIX = "CAPI_ROLLOUT_"

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DNS_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


class Scope(StrEnum):
    """What a run supervises, and in which order it waits: control plane first, then workers."""

    ALL = "all"
    CONTROL_PLANE = "control-plane"
    WORKERS = "workers"


SCOPES = (Scope.CONTROL_PLANE, Scope.WORKERS)
"""The two kinds of pools, in the order of waiting."""


class BudgetScope(StrEnum):
    """Whether both scopes have a budget each, or share one."""

    SCOPE = "scope"
    CLUSTER = "cluster"


class Remediate(StrEnum):
    REBOOT_DELETE = "reboot-delete"
    REBOOT = "reboot"


class RebootMode(StrEnum):
    DEFAULT = "default"
    POWERCYCLE = "powercycle"
    FORCE = "force"


def _name(text: str) -> str:
    if not _DNS_LABEL.fullmatch(text):
        raise ValueError(f"{text!r} is not a Kubernetes name (a-z, 0-9 and '-', at most 63 characters)")
    return text


def _optional_name(text: str) -> str:
    if text and not _DNS_NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not a Kubernetes name (a-z, 0-9, '-' and '.', at most 253 characters)")
    return text


def _count(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"\d{1,5}", value):
        raise ValueError(f"{value!r} is not a whole number")
    return value


def _boolean(value: object) -> object:
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError(f"{value!r} is neither 'true' nor 'false'")
    return value == "true" if isinstance(value, str) else value


def _generation(text: str) -> str:
    if text and not re.fullmatch(r"[1-9]\d{0,18}", text):
        raise ValueError(f"{text!r} is not a metadata.generation (a whole number, or empty)")
    return text


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than 0s")
    return value


def _names(value: object) -> object:
    return tuple(value.split(",")) if isinstance(value, str) else value


Name = Annotated[str, AfterValidator(_name)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_names)]
OptionalName = Annotated[str, AfterValidator(_optional_name)]
Count = Annotated[int, BeforeValidator(_count)]
Switch = Annotated[bool, BeforeValidator(_boolean)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
Period = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_positive)]


def _knob(default: Any, **details: Any) -> Any:
    """A field whose default is workflow text ("30s") and goes through the same validation as any value."""
    return Field(default, **details)


class Parameters(BaseModel):
    """What one run was asked to do. Frozen; bad values raise pydantic's ValidationError."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, validate_default=True
    )

    cluster_name: Name = Field(description="Name of the Cluster API Cluster.")
    cluster_namespace: Name = _knob("default", description="Namespace of that Cluster.")
    scope: Scope = _knob(Scope.ALL, description="What to supervise: all, control-plane or workers.")
    max_concurrent_unavailable: Count = _knob(
        "1", ge=1, le=10_000,
        description="Machines of one scope that may be down, and that may be deleting, at the same time.",
    )  # fmt: skip
    poll_interval: Period = _knob(
        "30s", description="Longest time between two looks. A watch event wakes earlier; a list decides."
    )
    control_plane_timeout: Period = _knob(
        "45m", description="Longest time without progress of the control plane before the run ends."
    )
    workers_timeout: Period = _knob("60m", description="Longest time without progress of the workers.")
    handover_grace: Duration = _knob(
        "2m",
        description="How long a new control-plane machine may still be starting while the next one is already "
        "deleting (G3). 0s: not at all.",
    )
    budget_scope: BudgetScope = _knob(
        BudgetScope.SCOPE, description="scope: a budget for each scope. cluster: both scopes share one."
    )
    max_remediations: Count = _knob(
        "0", ge=0, le=100, description="Reboots and deletes allowed per generation and in 24 h. 0 only watches."
    )
    remediate: Remediate = _knob(Remediate.REBOOT_DELETE, description="reboot: never delete a Machine (local disks).")
    reboot_mode: RebootMode = _knob(RebootMode.POWERCYCLE, description="How Talos reboots a machine.")
    stuck_after: Period = _knob(
        "30m", description="A machine without a milestone for this long is stuck. Metal boots take 20-30 min."
    )
    tcp_generation: Annotated[str, AfterValidator(_generation)] = _knob(
        "", description="metadata.generation of the TalosControlPlane that started this run. Set by the trigger."
    )
    acknowledge: Switch = _knob("false", description="Start although the last run of these generations failed.")
    allow_two_control_planes: Switch = _knob(
        "false", description="Roll a control plane of two: etcd has no quorum to lose meanwhile."
    )
    allow_talos_admin: Switch = _knob("false", description="Accept an os:admin Talos credential.")

    contract: str = _knob(CONTRACT, description="Contract of the WorkflowTemplate.", json_schema_extra={"own": True})
    workflow_name: OptionalName = _knob("", description="Our Workflow.", json_schema_extra={"own": True})
    workflow_namespace: OptionalName = _knob("", description="Its namespace.", json_schema_extra={"own": True})
    workflow_uid: str = _knob("", max_length=64, description="Its UID.", json_schema_extra={"own": True})
    node_name: OptionalName = _knob("", description="The Node this runs on.", json_schema_extra={"own": True})

    def covers(self, scope: Scope) -> bool:
        """Whether this run counts and judges the machines of `scope` (control-plane or workers)."""
        return self.scope in (Scope.ALL, scope)


class Rounds(BaseModel):
    """What the verb `backstop` looks after. Frozen; bad values raise pydantic's ValidationError."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    namespaces: Names = Field(description="Namespaces that hold Clusters, with commas between them.")
    workflow_namespace: Name = Field(description="Namespace of the runs.")
    contract: str = Field(CONTRACT, description="Contract of the WorkflowTemplate.")


@dataclass(frozen=True, slots=True)
class Knob:
    """One row of the parameter table. `default` is workflow text, None where a value is required."""

    name: str
    field: str
    default: str | None
    choices: tuple[str, ...]
    help: str
    own: bool
    """Filled in by the WorkflowTemplate itself (identity of the run), never asked of a person."""

    @property
    def flag(self) -> str:
        return "--" + self.field.replace("_", "-")

    @property
    def env(self) -> str:
        return ENV_PREFIX + self.field.upper()


def _knobs(model: type[BaseModel]) -> tuple[Knob, ...]:
    rows = []
    for field, info in model.model_fields.items():
        choices: tuple[str, ...] = ()
        if isinstance(info.annotation, type) and issubclass(info.annotation, StrEnum):
            choices = tuple(info.annotation)
        extra: Any = info.json_schema_extra or {}
        rows.append(
            Knob(
                name=to_camel(field),
                field=field,
                default=None if info.is_required() else str(info.default),
                choices=tuple(str(choice) for choice in choices),
                help=info.description or "",
                own=bool(extra.get("own")),
            )
        )
    return tuple(rows)


KNOBS = _knobs(Parameters)
"""All rows, in the order of the WorkflowTemplate's arguments."""

ASKED = tuple(knob for knob in KNOBS if not knob.own)
"""The rows a person or the trigger may set: the arguments of the WorkflowTemplate."""

ROUNDS = _knobs(Rounds)
"""What the verb `backstop` takes instead."""
