"""A run's tenure: what it keeps in the Cluster's Lease so that a restarted pod goes on where the last one stopped."""

from dataclasses import replace
from datetime import datetime

from guards.core.ledger import Ledger, Outcome, generations, pruned
from guards.core.memory import Memory, acted, durable
from guards.core.model import Snapshot
from guards.core.verdict import Ending
from guards.exits import Exit
from guards.journal import Journal
from guards.kube.access import WORKFLOW
from guards.kube.errors import KubeError
from guards.kube.lease import RENEW_EVERY, Fence, Lost
from guards.kube.outcome import attempts
from guards.kube.ports import Clock, ManagementCluster
from guards.parameters import SCOPES, Parameters, Scope


class Tenure:
    """Holds the Lease for one step, as well as it can: a watcher without it only forgets more when its pod dies."""

    def __init__(
        self, cluster: ManagementCluster, clock: Clock, journal: Journal, parameters: Parameters, step: Scope
    ) -> None:
        self.fence = Fence(cluster, clock, parameters)
        self._cluster, self._clock, self._journal = cluster, clock, journal
        self._parameters, self._step = parameters, step
        self._written_at: datetime | None = None
        self._said = ""

    @property
    def why_not(self) -> str:
        """Why nothing may be done by this run now; "" = the Lease is held."""
        return "" if self.fence.held else (self.fence.lost or self._said or "the Lease is not held")

    def told(self) -> str:
        """What this run did, for its last word; "" = nothing."""
        mine = [str(act) for act in self.fence.ledger.acts if act.run == self._parameters.workflow_uid]
        return f"; this run did: {', '.join(mine)}" if mine else ""

    def begin(self, first: Snapshot) -> Memory:
        """The Memory to go on with: an earlier pod's of this run, or a new one."""
        self._acquire()
        ledger = self.fence.ledger
        if not self.fence.held or ledger.progress is None or not self._goes_on(ledger):
            return Memory(started_at=first.taken_at)
        if ledger.progress_step == str(self._step):
            return ledger.progress
        return acted(ledger.progress, self._step, first.taken_at, f"waiting for {self._step} began")

    def _goes_on(self, ledger: Ledger) -> bool:
        """The progress is this run's, and no step of it has ended badly: `argo retry` gives a new patience."""
        mine, ended = self._parameters.workflow_uid, ledger.outcome
        return ledger.progress_run == mine and (ended is None or ended.run != mine or ended.exit is None)

    def keep(self, memory: Memory, snapshot: Snapshot, ending: Ending | None = None) -> None:
        """Renew the Lease and store what must not be forgotten; often called, seldom written."""
        now = self._clock.now()
        due = self._written_at is None or now - self._written_at >= RENEW_EVERY
        if not due and ending is None:
            return
        self._written_at = now
        self._acquire()
        if self.fence.held:
            self.store(replace(self._with_progress(memory, snapshot), outcome=self._outcome(snapshot, ending)))

    def store(self, ledger: Ledger) -> bool:
        """Write; False when it is not sure that this is what the Lease says now."""
        try:
            self.fence.write(ledger)
        except (KubeError, Lost) as error:
            self._say(str(error))
            return False
        return True

    def ledger(self, memory: Memory, snapshot: Snapshot) -> Ledger:
        """The ledger with this pod's progress in it."""
        return replace(self._with_progress(memory, snapshot), outcome=self._outcome(snapshot, None))

    def _with_progress(self, memory: Memory, snapshot: Snapshot) -> Ledger:
        return replace(
            pruned(self.fence.ledger, snapshot),
            progress_run=self._parameters.workflow_uid,
            progress_step=str(self._step),
            progress=durable(memory),
        )

    def _outcome(self, snapshot: Snapshot, ending: Ending | None) -> Outcome:
        last = [scope for scope in SCOPES if self._parameters.covers(scope) and snapshot.pools_of(scope)][-1:]
        told = ending if ending and (ending.exit is not Exit.DONE or [self._step] == last) else None
        return Outcome(
            run=self._parameters.workflow_uid,
            workflow=self._parameters.workflow_name,
            generations=generations(snapshot),
            exit=None if told is None else int(told.exit),
            sentence="it did not say how it ended" if told is None else told.sentence[:500],
            at=self._clock.now(),
        )

    def _acquire(self) -> None:
        if self.fence.held or self.fence.lost:
            return
        try:
            reason = self.fence.acquire(fresh=self._first_pod())
        except KubeError as error:
            reason = str(error)
        if reason:
            self._say(reason)

    def _first_pod(self) -> bool:
        """A later pod must find the Lease that the first one took: if it is gone, so is the memory of what was done."""
        name, namespace = self._parameters.workflow_name, self._parameters.workflow_namespace
        workflow = self._cluster.get(WORKFLOW, namespace, name)
        return attempts(workflow, [str(scope) for scope in SCOPES]) <= 1

    def _say(self, reason: str) -> None:
        if reason != self._said:
            self._said = reason
            self._journal.line(self._clock.now(), f"the Lease: {reason}; until it is held nothing is remediated")
