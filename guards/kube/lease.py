"""The fence: a Lease beside the Cluster, held by one Workflow at a time, with the ledger in its annotations.

The Argo mutex is the visible queue; it lives in a controller's memory and a zombie pod runs outside it. Every write
here is a compare-and-swap on the resourceVersion, so an act that is recorded is recorded by the only holder.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from guards.core.ledger import Ledger
from guards.kube.access import LEASE, WORKFLOW
from guards.kube.errors import Conflict, Forbidden, Malformed, NotFound
from guards.kube.fields import text, whole
from guards.kube.kept import annotations, ledger_of
from guards.kube.ports import Clock, ManagementCluster, Object
from guards.parameters import Parameters

DURATION = timedelta(seconds=60)
RENEW_EVERY = timedelta(seconds=15)
FINISHED = ("Succeeded", "Failed", "Error")


class Lost(Exception):
    """The Lease was ours and is not any more, or may not be. Nothing may be done for the rest of the run."""


class Unreadable(Exception):
    """The Lease holds something that no run of ours has written: nobody knows what was done before."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the Lease: one Workflow. Its namespace names the installation: the template lives there."""

    namespace: str
    workflow: str
    uid: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.workflow}/{self.uid}"

    @classmethod
    def parse(cls, identity: str) -> "Holder | None":
        """None: not one of ours."""
        parts = identity.split("/")
        return cls(*parts) if len(parts) == 3 and all(parts) else None


def lease_name(cluster: str) -> str:
    """In the Cluster's namespace, so that every installation that watches this Cluster meets the same one."""
    return f"capi-rollout-{cluster}"


class Fence:
    """This run's relation to the Lease. Raises guards.kube.errors; Lost at most once, and `lost` from then on."""

    def __init__(self, cluster: ManagementCluster, clock: Clock, parameters: Parameters) -> None:
        self._cluster, self._clock = cluster, clock
        self._namespace, self._name = parameters.cluster_namespace, lease_name(parameters.cluster_name)
        self.me = Holder(parameters.workflow_namespace, parameters.workflow_name, parameters.workflow_uid)
        self.lost = ""
        """Why this run lost the Lease; "" = it did not."""
        self._lease: Object | None = None
        """As stored, while it is ours."""
        self._ledger = Ledger()
        self._still: tuple[str, datetime] = ("", datetime.min)
        """(resourceVersion of a foreign Lease, since when it has not moved)."""

    @property
    def held(self) -> bool:
        return self._lease is not None and not self.lost

    @property
    def ledger(self) -> Ledger:
        """As last read or written."""
        return self._ledger

    def acquire(self, *, fresh: bool) -> str:
        """Try to become the holder; "" = it is ours, else why not. `fresh`: this run cannot have held it before."""
        if self.held or self.lost:
            return self.lost
        lease = self._read()
        holder = text(lease or {}, "spec", "holderIdentity")
        try:
            if lease is not None and holder == str(self.me):
                self._adopt(lease)
                return ""
            if not fresh:
                self.lost = f"Lease {self._name} is not this run's any more (holder: {holder or 'none'})"
                return self.lost
            if lease is None:
                self._adopt(self._cluster.create(LEASE, self._namespace, self._new()))
                return ""
            reason = self._standing(lease, holder) if holder else ""
            if not reason:
                self._adopt(self._cluster.update(LEASE, self._namespace, self._taken(lease)))
            return reason
        except Conflict:
            return f"Lease {self._name} has just been taken or changed by another run"

    def write(self, ledger: Ledger) -> None:
        """Renew, and store `ledger`. Conflict when another process of this run wrote meanwhile: `ledger` is its now."""
        if self._lease is None or self.lost:
            raise Lost(self.lost or f"Lease {self._name} is not held")
        body = self._stamped(self._lease)
        for key, value in annotations(ledger).items():
            _set(body, key, value)
        try:
            self._lease = self._cluster.update(LEASE, self._namespace, body)
        except (Conflict, NotFound):
            self._look_again()
            raise Conflict(f"Lease {self._name} changed under this run") from None
        self._ledger = ledger

    def confirm(self) -> bool:
        """Read the Lease afresh: True when it is ours and says what we know. Raises Lost."""
        before = text(self._lease or {}, "metadata", "resourceVersion")
        self._look_again()
        return bool(before) and text(self._lease or {}, "metadata", "resourceVersion") == before

    def hand_over(self) -> None:
        """End of the run: the next one need not wait. Nothing happens when the Lease is not ours."""
        lease = self._read()
        if lease is not None and text(lease, "spec", "holderIdentity") == str(self.me):
            body = self._stamped(lease)
            body["spec"]["holderIdentity"] = ""
            self._cluster.update(LEASE, self._namespace, body)

    def peek(self) -> tuple[Ledger, str]:
        """(the ledger, why another run must end first), without a write. Raises Unreadable."""
        lease = self._read()
        if lease is None:
            return Ledger(), ""
        holder = text(lease, "spec", "holderIdentity")
        foreign = holder and holder != str(self.me)
        try:
            return ledger_of(lease), self._alive(holder) if foreign else ""
        except Malformed as error:
            raise Unreadable(str(error)) from error

    # -- who holds it

    def _standing(self, lease: Object, holder: str) -> str:
        """Why a Lease of somebody else may not be taken over; "" = it may."""
        reason = self._alive(holder)
        if reason:
            return reason
        version, now = text(lease, "metadata", "resourceVersion"), self._clock.now()
        if self._still[0] != version:
            self._still = version, now
        left = self._still[1] + DURATION - now
        if left > timedelta(0):
            return f"Workflow {holder} has ended and left its Lease; it is taken over in {left.seconds}s"
        return ""

    def _alive(self, holder: str) -> str:
        who = Holder.parse(holder)
        if who is None:
            return f"Lease {self._name} is held by {holder!r}, which is no Workflow: it is never taken over"
        try:
            workflow = self._cluster.get(WORKFLOW, who.namespace, who.workflow)
        except NotFound:
            return ""
        except Forbidden:
            return (
                f"Lease {self._name} is held by Workflow {holder} of another installation, whose state cannot be read: "
                f"it is never taken over; when it has ended: kubectl -n {self._namespace} delete lease {self._name}"
            )
        if text(workflow, "metadata", "uid") != who.uid or text(workflow, "status", "phase") in FINISHED:
            return ""
        return f"Lease {self._name} is held by Workflow {who.namespace}/{who.workflow}, which is running"

    # -- the object

    def _read(self) -> Object | None:
        try:
            return self._cluster.get(LEASE, self._namespace, self._name)
        except NotFound:
            return None

    def _adopt(self, lease: Object) -> None:
        self._lease, self._ledger = lease, ledger_of(lease)

    def _look_again(self) -> None:
        """After a conflict, and before an act."""
        lease = self._read()
        holder = text(lease or {}, "spec", "holderIdentity")
        if lease is None or holder != str(self.me):
            self.lost = f"Lease {self._name} was {'deleted' if lease is None else f'taken by {holder or None}'}"
            raise Lost(self.lost)
        try:
            self._adopt(lease)
        except Malformed as error:
            self.lost = str(error)
            raise Lost(self.lost) from error

    def _new(self) -> Object:
        body: Object = {
            "apiVersion": f"{LEASE.group}/{LEASE.versions[0]}",
            "kind": LEASE.name,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {"leaseTransitions": 0, "acquireTime": self._now()},
        }
        return self._stamped(body)

    def _taken(self, lease: Object) -> Object:
        ledger_of(lease)  # what cannot be read is not taken over: Malformed
        body = self._stamped(lease)
        body["spec"]["acquireTime"] = self._now()
        body["spec"]["leaseTransitions"] = (whole(lease, "spec", "leaseTransitions") or 0) + 1
        return body

    def _stamped(self, lease: Object) -> Object:
        spec = {
            **lease["spec"],
            "holderIdentity": str(self.me),
            "leaseDurationSeconds": int(DURATION.total_seconds()),
            "renewTime": self._now(),
        }
        return {**lease, "metadata": dict(lease["metadata"]), "spec": spec}

    def _now(self) -> str:
        return self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _set(body: Object, key: str, value: str | None) -> None:
    kept = dict(body["metadata"].get("annotations") or {})
    kept.pop(key, None)
    body["metadata"]["annotations"] = kept | ({} if value is None else {key: value})
