"""The objects of Argo Events that are exported, as small models: a key that is not listed here cannot be written.

Hera's own models of them lose data: EventSource and Sensor come out without apiVersion and kind, and the Workflow
inside a trigger becomes `{}`. Names and meanings: argo-events 1.9, whose schema a test holds every export against.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from workflows.manifests import Manifest


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=True)


class _Object(_Part):
    api_version: Literal["argoproj.io/v1alpha1"] = "argoproj.io/v1alpha1"

    def written(self) -> Manifest:
        """As Kubernetes takes it, in the order of the fields; what was not given is left out."""
        return self.model_dump(by_alias=True, exclude_none=True)


class Account(_Part):
    """What we set of the pod that Argo Events makes."""

    service_account_name: str


# EventSource


class Watched(_Part):
    """One kind of object in one namespace. There is no `filter`: `afterStart` would drop the replay after a restart."""

    namespace: str
    group: str
    version: str
    resource: str
    event_types: list[Literal["ADD", "UPDATE"]]


class EventSourceSpec(_Part):
    event_bus_name: str
    replicas: Literal[1] = 1
    template: Account
    resource: dict[str, Watched]
    """Event name -> what it tells of."""


class EventSource(_Object):
    kind: Literal["EventSource"] = "EventSource"
    metadata: Manifest
    spec: EventSourceSpec


# Sensor


class Filters(_Part):
    script: str
    """Lua; the event passes when it returns true. An error in it counts as false."""


class Dependency(_Part):
    name: str
    event_source_name: str
    event_name: str
    filters: Filters


class Origin(_Part):
    """Where a value comes from: a path in the event, or a Go template over it."""

    dependency_name: str
    data_template: str | None = None
    data_key: str | None = None


class Fill(_Part):
    """One value of the event, put into the created object at the path `dest` (list entries by their number)."""

    src: Origin
    dest: str


class Source(_Part):
    resource: Manifest


class Creation(_Part):
    operation: Literal["create"] = "create"
    source: Source
    parameters: list[Fill]


class TriggerTemplate(_Part):
    name: str
    conditions: str
    k8s: Creation = Field(alias="k8s")  # to_camel would make it k8S


class Retry(_Part):
    steps: int
    duration: str
    factor: int


class Trigger(_Part):
    """There is no `dlqTrigger`: it would fire for every duplicate."""

    at_least_once: Literal[True] = True
    """Without it Argo Events ignores the retry."""
    retry_strategy: Retry
    template: TriggerTemplate


class SensorSpec(_Part):
    event_bus_name: str
    replicas: Literal[1] = 1
    template: Account
    dependencies: list[Dependency]
    triggers: list[Trigger]


class Sensor(_Object):
    kind: Literal["Sensor"] = "Sensor"
    metadata: Manifest
    spec: SensorSpec


# EventBus


class Persistence(_Part):
    access_mode: Literal["ReadWriteOnce"] = "ReadWriteOnce"
    volume_size: str


class JetStream(_Part):
    version: str
    replicas: int
    persistence: Persistence | None = None


class EventBusSpec(_Part):
    jetstream: JetStream


class EventBus(_Object):
    kind: Literal["EventBus"] = "EventBus"
    metadata: Manifest
    spec: EventBusSpec
