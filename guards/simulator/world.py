"""The simulated cluster itself: records, servers, controllers, and the levers that tests and scenarios pull."""

import hashlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Any

from guards.simulator import lifecycle
from guards.simulator.control_plane import reconcile_control_plane
from guards.simulator.deployments import reconcile_deployment
from guards.simulator.engine import Action, Engine
from guards.simulator.etcd import Etcd
from guards.simulator.founding import found_cluster, found_control_plane, found_workers
from guards.simulator.records import MachineRecord, Pool, Record
from guards.simulator.servers import Servers
from guards.simulator.timing import METAL, Plan, Timings, plan_for

START = datetime(2026, 1, 5, tzinfo=UTC)
"""Midnight, so that the time of day in a timeline is the time since the start."""
HISTORY = 86_400.0
"""Seconds the cluster has existed at the start."""
PAUSED = "cluster.x-k8s.io/paused"


class World:
    """A Cluster with a control plane and MachineDeployments, all settled at the start, and no spare server."""

    def __init__(
        self,
        *,
        seed: int = 0,
        control_planes: int = 3,
        workers: Mapping[str, int] | None = None,
        timings: Timings = METAL,
        cluster: str = "homelab",
        namespace: str = "default",
        start: datetime = START,
    ) -> None:
        self.seed, self.timings, self.namespace = seed, timings, namespace
        self.engine = Engine(start)
        self.engine.seconds = -HISTORY
        self.plans: dict[str, Plan] = {}
        self.changed: set[str] = set()
        """Kinds with changes that no wait has reported yet."""
        self.etcd = Etcd(self)
        self.broken: set[str] = set()
        """Names of Machines, existing or to come, that no reboot heals."""
        self.virtual: dict[str, str] = {}
        """Virtual addresses, and the Machine that answers there."""
        self.reboots: dict[str, list[datetime]] = {}
        """When each machine really rebooted, by Machine UID."""
        self.deletes_by_api: list[str] = []
        """UIDs of the Machines that were deleted through the API, once for every accepted request."""
        self._records: dict[str, dict[str, Record]] = {}
        self._random = Random(f"{seed}/controllers")  # noqa: S311 - a rehearsal, not a secret
        self.version = 1000
        """The newest resourceVersion of anything."""
        self._numbers: dict[str, int] = {}
        self._poked: set[str] = set()
        self.servers = Servers(lambda machine: lifecycle.power_on(self, machine))
        self.each_event: list[Action] = []
        """Called after every event: where tests and rehearsals measure the truth."""
        self._triggers: list[tuple[Callable[[], bool], Action]] = []
        self.cluster = found_cluster(self, cluster, f"{cluster}-cp")
        self.control_plane = found_control_plane(self, control_planes)
        found_workers(self, workers or {f"{cluster}-workers": 3})
        self.advance(-self.engine.seconds)
        self.changed.clear()

    # Records

    def now(self) -> datetime:
        """The simulated instant, UTC."""
        return self.engine.now()

    def uid(self, kind: str, name: str) -> str:
        return str(uuid.UUID(bytes=hashlib.sha256(f"{self.seed}/{kind}/{name}".encode()).digest()[:16]))

    def record(self, kind: str, name: str, labels: dict[str, str]) -> Record:
        return Record(kind=kind, name=name, uid=self.uid(kind, name), created=self.now(), labels=dict(labels))

    def next_name(self, pool: Pool) -> str:
        """homelab-workers-4: numbered, so that a timeline reads well; real names end in five random characters."""
        self._numbers[pool.name] = self._numbers.get(pool.name, 0) + 1
        return f"{pool.name}-{self._numbers[pool.name]}"

    def add(self, record: Record) -> None:
        self._records.setdefault(record.kind, {})[record.name] = record
        self.touch(record)

    def touch(self, record: Record) -> None:
        """The object changed: a new resourceVersion, and a watch event for its kind."""
        self.version += 1
        record.version = self.version
        self.changed.add(record.kind)

    def remove(self, record: Record) -> None:
        if self._records[record.kind].pop(record.name, None) is not None:
            self.changed.add(record.kind)

    def exists(self, record: Record) -> bool:
        return self._records.get(record.kind, {}).get(record.name) is record

    def all(self, kind: str) -> list[Record]:
        """Every record of a kind, in the order of their creation."""
        return list(self._records.get(kind, {}).values())

    def find(self, kind: str, name: str) -> Record | None:
        return self._records.get(kind, {}).get(name)

    def machines(self, pool: Pool | None = None) -> list[MachineRecord]:
        """The Machines, deleting ones included, in the order of their creation."""
        found = [m for m in self.all("Machine") if isinstance(m, MachineRecord)]
        return found if pool is None else [m for m in found if m.pool is pool]

    def machine(self, name: str) -> MachineRecord | None:
        found = self.find("Machine", name)
        return found if isinstance(found, MachineRecord) else None

    def pools(self) -> list[Pool]:
        found = [*self.all("TalosControlPlane"), *self.all("MachineDeployment")]
        return [pool for pool in found if isinstance(pool, Pool)]

    def pool(self, name: str) -> Pool:
        return next(pool for pool in self.pools() if pool.name == name)

    # Time and controllers

    def advance(self, seconds: float, wakes: Callable[[], bool] = lambda: False) -> None:
        """Let the world work for `seconds`, or until shortly after `wakes` is true."""
        self.engine.advance(seconds, lambda: self._fire() or wakes())

    def _fire(self) -> bool:
        due = [trigger for trigger in self._triggers if trigger[0]()]
        for trigger in due:
            self._triggers.remove(trigger)
            trigger[1]()
        self.etcd.look()
        for action in self.each_event:
            action()
        return False

    def at(self, seconds: float, action: Action) -> None:
        """Do something this long after the start."""
        self.engine.after(seconds - self.engine.seconds, action)

    def once(self, condition: Callable[[], bool], action: Action) -> None:
        """Do something as soon as `condition` holds."""
        self._triggers.append((condition, action))

    def poke(self, pool: Pool) -> None:
        """Something that the pool's controller watches has changed."""
        if pool.name not in self._poked:
            self._poked.add(pool.name)
            self.engine.after(self._random.uniform(*self.timings.latency), lambda: self._reconcile(pool))

    def _reconcile(self, pool: Pool) -> None:
        self._poked.discard(pool.name)
        if pool.scope == "control-plane":
            reconcile_control_plane(self, pool)
        else:
            reconcile_deployment(self, pool)

    @property
    def workload_reachable(self) -> bool:
        return self.cluster.contact_lost_at is None

    def is_paused(self, record: Record) -> bool:
        return self.cluster.paused or PAUSED in record.annotations

    def look_again(self) -> None:
        """Every controller looks at everything."""
        for machine in self.machines():
            lifecycle.observe(self, machine)
        for pool in self.pools():
            self.poke(pool)

    # Levers

    def change(self, name: str, **spec: Any) -> None:
        """A commit reaches a pool: version, config, infrastructure, replicas, max_surge, max_unavailable, strategy,
        paused."""
        pool = self.pool(name)
        template = {key: spec.pop(key) for key in ("version", "config", "infrastructure") if key in spec}
        pool.template = replace(pool.template, **template)
        for key, value in spec.items():
            setattr(pool, key, value)
        if pool.scope == "workers" and self.find("TalosConfigTemplate", pool.template.config) is None:
            self.add(self.record("TalosConfigTemplate", pool.template.config, {}))
        pool.generation += 1
        self.touch(pool)
        self.poke(pool)
        self.engine.after(self.timings.notice[1], self.look_again)

    def plan(self, name: str, **durations: float) -> None:
        """Give one machine, existing or to come, other durations (seconds; timing.NEVER = stuck there)."""
        machine = self.machine(name)
        plan = machine.plan if machine else self.plans.get(name) or plan_for(self.timings, self.seed, name)
        self.plans[name] = replace(plan, **durations)
        if machine is not None:
            machine.plan = self.plans[name]

    # The truth

    @property
    def etcd_quorum_lost(self) -> bool:
        """Whether the true etcd has been without a quorum at any instant."""
        self.etcd.look()
        return self.etcd.loss is not None

    def etcd_lost_by(self, *uids: str) -> bool:
        """Whether it lost it because of reboots and deletes through the doors (of these Machines, if any are named)."""
        self.etcd.look()
        return self.etcd.lost_by(uids)

    def down_now(self, scope: str) -> int:
        """Slots of `scope` (control-plane, workers) without a machine that really serves, whatever the API says."""
        slots = sum(pool.replicas for pool in self.pools() if pool.scope == scope)
        return slots - sum(m.serving for m in self.machines() if m.pool.scope == scope)
