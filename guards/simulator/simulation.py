"""The simulated world behind the two doors of guards.kube.ports."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from guards.kube.access import INFRASTRUCTURE, RUN_RULES, Kind, Rule, cluster_rules
from guards.kube.errors import Conflict, Forbidden, NotFound, NotServed, Unreachable
from guards.kube.ports import Object
from guards.simulator import deletion, stored
from guards.simulator.records import MachineRecord, Record
from guards.simulator.render import render
from guards.simulator.stored import Stored, render_stored
from guards.simulator.wire import api_version
from guards.simulator.world import World

T = TypeVar("T")

RUN_NAMESPACE = "argo"
INFRASTRUCTURE_MACHINES = ((INFRASTRUCTURE, "metalmachines"),)
OTHER_VERSIONS = {
    "Workflow": ("argoproj.io", "v1alpha1"),
    "Lease": ("coordination.k8s.io", "v1"),
    "Event": ("events.k8s.io", "v1"),
}
"""Group and version of the kinds that no simulated controller knows."""
CAPI_KINDS = frozenset(("Cluster", "Machine", "MachineSet", "MachineDeployment", "MachineHealthCheck"))
PROVIDER_KINDS = frozenset(("TalosControlPlane", "TalosConfig", "TalosConfigTemplate", "MetalMachine"))


class Simulation(World):
    """ManagementCluster and Clock in one: waiting makes the simulated controllers work.

    It refuses whatever guards.kube.access does not list, so a green rehearsal also speaks for the exported Role.
    """

    def __init__(self, *, api: str = "v1beta2", remediator: bool = False, **world: Any) -> None:
        """`api`: the served version of Cluster API's own kinds, v1beta2 or v1beta1. The rest: see World.

        `remediator`: the account of the caller is capi-rollout-remediator, not capi-rollout-runner.
        """
        if api not in ("v1beta2", "v1beta1"):
            raise ValueError(f"api={api!r}: expected v1beta2 or v1beta1")
        self.api = api
        self.remediator = remediator
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
        return self._object(self._existing(kind, namespace, name))

    def list(self, kind: Kind, namespace: str, labels: str, read: Callable[[Object], T]) -> list[T]:
        self._enter("list", kind, namespace)
        wanted = dict(term.split("=", 1) for term in labels.split(",") if term)
        found = sorted(self.all(kind.name), key=lambda record: record.name)
        return [read(self._object(record)) for record in found if wanted.items() <= record.labels.items()]

    def allowed(self, verb: str, group: str, resource: str, namespace: str) -> bool:
        self._call()
        return self._permitted(verb, group, resource, namespace)

    def create(self, kind: Kind, namespace: str, body: Object) -> Object:
        version = self._enter("create", kind, namespace)
        return self._object(stored.create(self, kind, version, namespace, body))

    def update(self, kind: Kind, namespace: str, body: Object) -> Object:
        version = self._enter("update", kind, namespace)
        name = stored.check_name(kind, body.get("metadata", {}).get("name"))
        record = self._existing(kind, namespace, name)
        assert isinstance(record, Stored), f"guards.kube.access lets nobody update a {kind}"
        return self._object(stored.update(self, kind, version, record, body))

    def delete(self, kind: Kind, namespace: str, name: str, uid: str, resource_version: str) -> None:
        self._enter("delete", kind, namespace)
        record = self._existing(kind, namespace, name)
        assert isinstance(record, MachineRecord), f"guards.kube.access lets nobody delete a {kind}"
        for what, wanted, seen in (("UID", uid, record.uid), ("ResourceVersion", resource_version, record.version)):
            if wanted != str(seen):
                raise Conflict(f"{kind} {name}: {what} in precondition: {wanted}, {what} in object meta: {seen}")
        self.deletes_by_api.append(uid)
        self.etcd.take(record)
        deletion.delete(self, record)

    def watch(self, kinds: Iterable[Kind], namespace: str, labels: str) -> None:
        for kind in kinds:
            self._enter("watch", kind, namespace)
            self._watched[kind.name] = kind

    # Argo

    def put_workflow(self, name: str, uid: str, phase: str = "Running", nodes: Mapping[str, Any] | None = None) -> None:
        """Argo runs or has run a Workflow of this name; a second call changes it, another UID is another Workflow."""
        record = self.find("Workflow", name)
        if not isinstance(record, Stored) or record.uid != uid:
            record = Stored(
                kind="Workflow", name=name, uid=uid, created=self.now(), namespace=RUN_NAMESPACE, body={}
            )  # fmt: skip
        stored.store(self, record, {"metadata": {}, "spec": {}, "status": {"phase": phase, "nodes": dict(nodes or {})}})

    def drop_workflow(self, name: str) -> None:
        """Somebody, or its time to live, deletes a Workflow."""
        record = self.find("Workflow", name)
        assert record is not None, f"there is no Workflow {name}"
        self.remove(record)

    # One request

    def _enter(self, verb: str, kind: Kind, namespace: str) -> str:
        """The version the kind is served at, once the request has passed the API server's first checks."""
        self._call()
        version = self._served(kind)
        if not self._permitted(verb, kind.group, kind.plural, namespace):
            raise Forbidden(
                f"{kind.plural}.{kind.group} is forbidden: the caller cannot {verb} resource "
                f'"{kind.plural}" in API group "{kind.group}" in the namespace "{namespace}"'
            )
        return version

    def _existing(self, kind: Kind, namespace: str, name: str) -> Record:
        record = self.find(kind.name, name)
        home = record.namespace if isinstance(record, Stored) else self.namespace
        if record is None or home != namespace:
            raise NotFound(f'{kind.plural}.{kind.group} "{name}" not found in the namespace "{namespace}"')
        return record

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
            group, version = OTHER_VERSIONS.get(kind.name, ("", ""))
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
            rules += cluster_rules(INFRASTRUCTURE_MACHINES, remediator=self.remediator)
        if namespace == RUN_NAMESPACE:
            rules += RUN_RULES
        return rules

    def _object(self, record: Record) -> Object:
        """The object on the wire, built once per resourceVersion; a fresh dict down to spec and status."""
        if isinstance(record, Stored):
            return render_stored(record, "/".join(filter(None, OTHER_VERSIONS[record.kind])))
        version, wire = self._wire.get(record.uid, (0, {}))
        if version != record.version:
            wire = render(record, self.api, self.namespace)
            self._wire[record.uid] = record.version, wire
        return {key: dict(value) if isinstance(value, dict) else value for key, value in wire.items()}
