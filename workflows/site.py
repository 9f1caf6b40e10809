"""The site file `rollout.yaml`: what is different from one installation to the next. Unknown keys are refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from guards.kube.access import INFRASTRUCTURE, Kind, infrastructure_kind
from workflows import yamls

DNS_LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
Name = Annotated[str, Field(pattern=DNS_LABEL)]
KindName = Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]{0,62}$")]
Version = Annotated[str, Field(pattern=r"^v[0-9]+\.[0-9]+(\.[0-9]+)?(-[a-z0-9.]+)?$")]

RESERVED_OVERLAYS = ("argo-workflows", "capi-rollout", "argo-cd")
"""Folders of overlay/management that hold the orchestrator itself."""


class SiteError(Exception):
    """The site file cannot be used. The text names the file, every key at fault, what was seen and expected."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=True)


class Argo(_Model):
    namespace: Name = "argo"
    """Where the WorkflowTemplate lives and the runs happen."""


class Image(_Model):
    """The step image: `name:tag`, and `@digest` where one is given."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.:-]*(/[a-z0-9._-]+)+$")] = "ghcr.io/capi-rollout/guards"
    tag: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")]
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None

    @property
    def reference(self) -> str:
        return f"{self.name}:{self.tag}" + (f"@{self.digest}" if self.digest else "")


class Infrastructure(_Model):
    """The kinds of the infrastructure provider: its machines, and the templates that stamp them out."""

    group: str = INFRASTRUCTURE
    version: Annotated[str, Field(pattern=r"^v[0-9]+((alpha|beta)[0-9]+)?$")]
    machines: KindName
    templates: KindName

    @property
    def machine_kind(self) -> Kind:
        return infrastructure_kind(self.machines, self.group, self.version)


class Pool(_Model):
    """A control plane or one MachineDeployment, as written to the cluster's overlay."""

    name: Name
    replicas: Annotated[int, Field(ge=1, le=1000)]
    version: Version
    """Kubernetes."""
    talos_version: Version
    """Which machine configuration Talos understands, for example v1.12."""
    machine_template: Name
    """Name of the infrastructure template."""
    strategic_patches: tuple[str, ...] = Field((), strict=False)
    """Patches of the Talos machine configuration, as YAML text."""


class ControlPlane(Pool):
    replicas: Annotated[int, Field(ge=3, le=9)]
    """A control plane without surge cannot roll with 1 machine, and has no quorum to lose with 2."""


class Cluster(_Model):
    name: Name
    namespace: Name = "default"
    overlay: Name | None = None
    """Folder of overlay/management that export fills; without it the cluster's manifests are yours alone."""
    control_plane: ControlPlane | None = None
    workers: tuple[Pool, ...] = Field((), strict=False)
    infrastructure: Infrastructure

    @model_validator(mode="after")
    def _overlay_is_complete(self) -> "Cluster":
        if self.overlay in RESERVED_OVERLAYS:
            raise ValueError(f"overlay {self.overlay!r} holds the orchestrator itself; choose another folder")
        if self.overlay and not (self.control_plane and self.workers):
            raise ValueError("an overlay needs controlPlane and at least one entry of workers")
        _unique("workers", [pool.name for pool in self.workers])
        return self


class Remediation(_Model):
    enabled: bool = False
    talos_secret: Name = "capi-rollout-talos"  # noqa: S105 - the name of a Secret
    """Secret in the run namespace; key `<namespace>.<cluster>` holds an os:operator talosconfig."""


class JetStream(_Model):
    """An EventBus to be exported: NATS JetStream, run by Argo Events."""

    version: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    """One that the configuration of the Argo Events controller lists, for example 2.10.29."""
    replicas: Annotated[int, Field(ge=1)] = 3
    volume_size: Annotated[str, Field(pattern=r"^[0-9]+(Mi|Gi|Ti)$")] | None = None
    """Of one volume per replica, of the default StorageClass; without it the bus forgets its messages at a restart."""

    @model_validator(mode="after")
    def _can_elect(self) -> "JetStream":
        if self.replicas == 2:
            raise ValueError("replicas is 2, which Argo Events refuses: expected 1, or 3 and more")
        return self


class EventBus(_Model):
    """A name alone (`eventBus: default`) is a bus that exists already, in argo.namespace."""

    name: Name = "default"
    jetstream: JetStream | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given


class Events(_Model):
    enabled: bool = True
    event_bus: EventBus = EventBus()


class Notify(_Model):
    url_secret: Name | None = None


class Site(_Model):
    """The whole file."""

    argo: Argo = Argo()
    image: Image
    clusters: tuple[Cluster, ...] = Field(strict=False)
    remediation: Remediation = Remediation()
    events: Events = Events()
    backstop: bool = False
    """A CronWorkflow that starts the runs whose event got lost."""
    secrets: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+\.sops\.yaml$")], ...] = Field((), strict=False)
    """Encrypted files beside the WorkflowTemplate, decrypted by ksops when Argo CD builds the overlay."""
    notify: Notify = Notify()

    @model_validator(mode="after")
    def _some_and_no_twins(self) -> "Site":
        if not self.clusters:
            raise ValueError("clusters: empty, expected at least one")
        _unique("clusters", [f"{cluster.namespace}/{cluster.name}" for cluster in self.clusters])
        _unique("overlays", [cluster.overlay for cluster in self.clusters if cluster.overlay])
        _unique("secrets", self.secrets)
        return self

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> "Site":
        """Known keys that nothing serves yet are refused when set, rather than silently left without effect."""
        if self.notify.url_secret is not None:
            raise ValueError("notify.urlSecret: not available in this version, leave it out")
        return self

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Namespaces that hold Clusters, in the order of the file."""
        return tuple(dict.fromkeys(cluster.namespace for cluster in self.clusters))

    def infrastructure_in(self, namespace: str) -> tuple[Kind, ...]:
        """Kinds of infrastructure machines of the clusters in one namespace."""
        kinds = (cluster.infrastructure.machine_kind for cluster in self.clusters if cluster.namespace == namespace)
        return tuple(dict.fromkeys(kinds))


def load(path: Path) -> Site:
    """Read a site file. SiteError when it is missing, not YAML, or not a site."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SiteError(f"{path}: cannot be read ({reason}). Name another file with --site FILE.") from error
    try:
        return Site.model_validate(yamls.load(text))
    except yaml.YAMLError as error:
        raise SiteError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        lines = "\n".join(f"  {_sentence(problem)}" for problem in error.errors())
        raise SiteError(f"{path}: {error.error_count()} to correct\n{lines}") from error


def _sentence(problem: Any) -> str:
    """`clusters[0].name: seen 'Home', expected …` of one pydantic error."""
    where = _path(problem["loc"])
    match problem["type"]:
        case "missing":
            return f"{where}: missing"
        case "extra_forbidden":
            return f"{where}: unknown key, expected one of {', '.join(_siblings(problem['loc']))}"
        case "value_error":
            return f"{where}: {problem['ctx']['error']}"
    return f"{where}: seen {problem['input']!r}, expected: {problem['msg'].removeprefix('Input should be ')}"


def _path(keys: Sequence[str | int]) -> str:
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return text.removeprefix(".") or "the file"


def _siblings(keys: Sequence[str | int]) -> list[str]:
    """The keys that are known beside the last one of `keys`."""
    model: type[BaseModel] = Site
    for key in keys[:-1]:
        if isinstance(key, str):
            field = next(info for info in model.model_fields.values() if info.alias == key)
            model = _model_of(field.annotation) or model
    return [str(info.alias) for info in model.model_fields.values()]


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_of, getattr(annotation, "__args__", ()))), None)


def _unique(what: str, names: Sequence[str]) -> None:
    twins = sorted({name for name in names if list(names).count(name) > 1})
    if twins:
        raise ValueError(f"{what}: {', '.join(twins)} more than once")
