"""The simulated world behind the two doors of guards.kube.ports."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from guards.kube.access import INFRASTRUCTURE, RUN_RULES, Kind, Rule, cluster_rules
from guards.kube.errors import Forbidden, NotFound, NotServed, Unreachable
from guards.kube.ports import Object
from guards.simulator.records import Record
from guards.simulator.render import render
from guards.simulator.wire import api_version
from guards.simulator.world import World

T = TypeVar("T")

RUN_NAMESPACE = "argo"
INFRASTRUCTURE_MACHINES = ((INFRASTRUCTURE, "metalmachines"),)
OTHER_VERSIONS = {"Workflow": "argoproj.io/v1alpha1", "Lease": "coordination.k8s.io/v1"}
"""Kinds that are served although the world has none of them."""
CAPI_KINDS = frozenset(("Cluster", "Machine", "MachineSet", "MachineDeployment", "MachineHealthCheck"))
PROVIDER_KINDS = frozenset(("TalosControlPlane", "TalosConfig", "TalosConfigTemplate", "MetalMachine"))


class Simulation(World):
    """ManagementCluster and Clock in one: waiting makes the simulated controllers work.

    It refuses whatever guards.kube.access does not list, so a green rehearsal also speaks for the exported Role.
    """

    def __init__(self, *, api: str = "v1beta2", **world: Any) -> None:
        """`api`: the served version of Cluster API's own kinds, v1beta2 or v1beta1. The rest: see World."""
        if api not in ("v1beta2", "v1beta1"):
            raise ValueError(f"api={api!r}: expected v1beta2 or v1beta1")
        self.api = api
        self.reachable = True
        self.revoked: set[tuple[str, str]] = set()
        """(verb, plural) that somebody took out of the Role."""
        self.requests = 0
        """Questions asked so far; discovery is not counted, the real client caches it."""
        self._watched: dict[str, Kind] = {}
        self._wire: dict[str, tuple[int, Object]] = {}
        super().__init__(**world)

    # Clock

    def wait(self, seconds: float) -> frozenset[Kind]:
        """Let the world work for at most `seconds`; return early with the watched kinds that changed."""
        self.advance(seconds, lambda: self.reachable and not self.changed.isdisjoint(self._watched))
        if not self.reachable:
            return frozenset()
        woken = frozenset(kind for name, kind in self._watched.items() if name in self.changed)
        self.changed.clear()
        return woken

    def resync(self) -> None:
        """A broken watch is back: the gap may hide a change of anything."""
        self.changed |= self._watched.keys()

    # ManagementCluster

    def served_version(self, kind: Kind) -> str:
        self._reach()
        return self._served(kind)

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        self._enter("get", kind, namespace)
        record = self.find(kind.name, name) if namespace == self.namespace else None
        if record is None:
            raise NotFound(f'{kind.plural}.{kind.group} "{name}" not found in the namespace "{namespace}"')
        return self._object(record)

    def list(self, kind: Kind, namespace: str, labels: str, read: Callable[[Object], T]) -> list[T]:
        self._enter("list", kind, namespace)
        wanted = dict(term.split("=", 1) for term in labels.split(",") if term)
        found = sorted(self.all(kind.name), key=lambda record: record.name)
        return [read(self._object(record)) for record in found if wanted.items() <= record.labels.items()]

    def allowed(self, verb: str, group: str, resource: str, namespace: str) -> bool:
        self._call()
        return self._permitted(verb, group, resource, namespace)

    def watch(self, kinds: Iterable[Kind], namespace: str, labels: str) -> None:
        for kind in kinds:
            self._enter("watch", kind, namespace)
            self._watched[kind.name] = kind

    def _enter(self, verb: str, kind: Kind, namespace: str) -> None:
        self._call()
        self._served(kind)
        if not self._permitted(verb, kind.group, kind.plural, namespace):
            raise Forbidden(
                f"{kind.plural}.{kind.group} is forbidden: the caller cannot {verb} resource "
                f'"{kind.plural}" in API group "{kind.group}" in the namespace "{namespace}"'
            )

    def _call(self) -> None:
        self.requests += 1
        self._reach()

    def _reach(self) -> None:
        if not self.reachable:
            raise Unreachable("the management API did not answer: connection refused")

    def _served(self, kind: Kind) -> str:
        if kind.name in CAPI_KINDS | PROVIDER_KINDS:
            group, version = api_version(kind.name, self.api).split("/")
        else:
            group, _, version = OTHER_VERSIONS.get(kind.name, "").partition("/")
        if group != kind.group or version not in kind.versions:
            versions = ", ".join(kind.versions)
            raise NotServed(f"{kind.plural}.{kind.group} is served at {version or 'no version'}; expected {versions}")
        return version

    def _permitted(self, verb: str, group: str, resource: str, namespace: str) -> bool:
        return (verb, resource) not in self.revoked and any(
            group == rule.group and resource in rule.resources and verb in rule.verbs for rule in self._rules(namespace)
        )

    def _rules(self, namespace: str) -> tuple[Rule, ...]:
        rules: tuple[Rule, ...] = ()
        if namespace == self.namespace:
            rules += cluster_rules(INFRASTRUCTURE_MACHINES)
        if namespace == RUN_NAMESPACE:
            rules += RUN_RULES
        return rules

    def _object(self, record: Record) -> Object:
        """The object on the wire, built once per resourceVersion; a fresh dict down to spec and status."""
        version, wire = self._wire.get(record.uid, (0, {}))
        if version != record.version:
            wire = render(record, self.api, self.namespace)
            self._wire[record.uid] = record.version, wire
        return {key: dict(value) if isinstance(value, dict) else value for key, value in wire.items()}
