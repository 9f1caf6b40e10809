"""Carrying out what `guards.core.remediation` advises: look again, fence, record, act once, look for the proof."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from guards.core.credential import unusable
from guards.core.decide import take_in
from guards.core.evidence import Answer, Round
from guards.core.invariants import assert_before_act, too_old
from guards.core.ledger import Act, Action, State, open_act, settled, with_act, withdrawn
from guards.core.memory import Memory, acted
from guards.core.model import Snapshot
from guards.core.remediation import Order, advise, heard, proof_of, suspects, targets
from guards.core.verdict import Finding, Verdict
from guards.exits import Exit
from guards.journal import Journal
from guards.kube.access import MACHINE, WORKFLOW
from guards.kube.errors import Conflict, Forbidden, KubeError, NotFound
from guards.kube.events import announce
from guards.kube.lease import Lost
from guards.kube.outcome import why_not_running
from guards.kube.ports import Clock, ManagementCluster
from guards.parameters import Parameters, Scope
from guards.talos.ports import Refused, TalosError, TalosMachines, Unproven
from guards.tenure import Tenure

ASK_EVERY = timedelta(seconds=10)
"""Machines that are down are asked whether they answer, however often the cluster changes."""


class Withheld(Exception):
    """An act that did not happen. The text says why; nothing was done."""


@dataclass
class Remediator:
    """Acts for one step, at most once a look. Not thread-safe."""

    cluster: ManagementCluster
    clock: Clock
    journal: Journal
    talos: TalosMachines
    tenure: Tenure
    parameters: Parameters
    step: Scope
    look: Callable[[], Snapshot]
    """Everything afresh, one try. KubeError."""
    _answers: Round | None = None
    _against: tuple[Finding, ...] = ()
    """What spoke against an act at the last look: a run that ends without one says why."""

    def after_look(self, memory: Memory, snapshot: Snapshot, verdict: Verdict) -> tuple[Memory, Verdict]:
        """What this look leads to beyond waiting: an act, a reason against it, or the end of what can be done."""
        if verdict.exit is Exit.TIMED_OUT and self._against:
            return memory, replace(verdict, sentence=f"{verdict.sentence} {_told(self._against)}")
        watched = suspects(snapshot, memory, self.step)
        if verdict.exit is not None or not (watched or open_act(self.tenure.fence.ledger)):
            return memory, verdict
        answers = self._ask(snapshot)
        memory = heard(memory, answers, watched, snapshot.taken_at)
        self._settle(snapshot, memory, answers)
        advice = advise(snapshot, memory, self.tenure.fence.ledger, self.parameters, self.step, answers)
        findings = advice.findings
        if advice.order is not None:
            memory, said = self._try(advice.order, memory)
            findings = (said,)
        self._against = findings
        if advice.exhausted:
            return memory, replace(verdict, exit=Exit.REFUSED, sentence=f"{self.step}: {_told(findings)}")
        return memory, replace(verdict, findings=(*verdict.findings, *findings))

    def _ask(self, snapshot: Snapshot) -> Round:
        known = self._answers
        if known is None or snapshot.taken_at - known.begun_at >= ASK_EVERY:
            known = self._answers = self.talos.ask(targets(snapshot, self.step, self.parameters))
        return known

    def _settle(self, snapshot: Snapshot, memory: Memory, answers: Round) -> None:
        """Look for the proof of the act that is under way, of this pod or of one before it."""
        ledger = self.tenure.fence.ledger
        act = open_act(ledger)
        if act is None or not self.tenure.fence.held:
            return
        state = proof_of(act, snapshot, memory, self.parameters, answers)
        if state is not act.state and self.tenure.store(settled(ledger, act, state)):
            self.journal.line(snapshot.taken_at, f"  {replace(act, state=state)} [act]")

    # -- acting

    def _try(self, order: Order, memory: Memory) -> tuple[Memory, Finding]:
        """One act, or the reason why not. Whatever fails here before the call leaves everything as it was."""
        try:
            order, snapshot, answers = self._again(order, memory)
            act = self._intend(order, memory, snapshot)
            state = self._act(order, act, snapshot, answers, memory.cluster_uid)
        except Withheld as why:
            return memory, Finding("R-withheld", f"Machine {order.machine.name} is stuck, not touched now: {why}")
        except Forbidden:
            raise  # a permission that is gone ends the run: F-A9
        except (KubeError, Lost, TalosError) as error:
            return memory, Finding("R-withheld", f"Machine {order.machine.name} is stuck, not touched now: {error}")
        now = self.clock.now()
        memory = acted(memory, order.machine.scope, now, f"our {act.action} of {act.machine}")
        self.tenure.store(settled(self.tenure.ledger(memory, snapshot), act, state))
        announce(self.cluster, self.clock, self.parameters, snapshot, replace(act, state=state))
        return memory, Finding("act", f"{replace(act, state=state)}: {order.why}")

    def _again(self, order: Order, memory: Memory) -> tuple[Order, Snapshot, Round]:
        """The same judgement on evidence that is seconds old, for this very machine and act."""
        if why_not := unusable(self.talos.credential(), self.clock.now(), self.parameters):
            raise Withheld(why_not)
        snapshot = self.look()
        answers = self._answers = self.talos.ask(targets(snapshot, self.step, self.parameters))
        memory = heard(take_in(memory, snapshot, self.parameters), answers, (order.machine,), snapshot.taken_at)
        advice = advise(snapshot, memory, self.tenure.fence.ledger, self.parameters, self.step, answers)
        again = advice.order
        if again is None or (again.machine.uid, again.rung.action) != (order.machine.uid, order.rung.action):
            raise Withheld(_told(advice.findings) or "it moved just now")
        return again, snapshot, answers

    def _intend(self, order: Order, memory: Memory, snapshot: Snapshot) -> Act:
        """Fence, own Workflow, and the intent on record: S-7, S-8, S-12."""
        if self.tenure.why_not or not self.tenure.fence.confirm():
            raise Withheld(self.tenure.why_not or "the Lease has just been written by another process of this run")
        own = self.cluster.get(WORKFLOW, self.parameters.workflow_namespace, self.parameters.workflow_name)
        if why_not := why_not_running(own, self.parameters, str(self.step)):
            raise Withheld(why_not)
        pool = next(pool for pool in snapshot.pools_of(order.machine.scope) if pool.name == order.machine.pool)
        act = Act(
            action=order.rung.action,
            machine=order.machine.name,
            uid=order.machine.uid,
            at=self.clock.now(),
            run=self.parameters.workflow_uid,
            pool=pool.uid,
            generation=pool.generation,
            state=State.INTENDED,
            boot_time=order.rung.boot_time,
            why=order.why,
        )
        if not self.tenure.store(with_act(self.tenure.ledger(memory, snapshot), act)):
            raise Withheld("its intent could not be put on record")
        return act

    def _act(self, order: Order, act: Act, snapshot: Snapshot, answers: Round, cluster_uid: str) -> State:
        """The call. From here on the outcome may be unknown, and the intent stays on record until it is proven."""
        if too_old(snapshot, answers, self.clock.now()):
            self._withdraw(act)
            raise Withheld("the evidence grew too old meanwhile")
        ledger = self.tenure.fence.ledger
        assert_before_act(order, snapshot, answers, ledger, self.parameters, cluster_uid)
        if act.action is Action.REBOOT:
            return self._reboot(order, answers)
        return self._delete(order, act)

    def _reboot(self, order: Order, answers: Round) -> State:
        machine = answers.machines[order.machine.uid]
        assert isinstance(machine, Answer), "a reboot of a silent machine is objected to"
        try:
            self.talos.reboot(machine, self.parameters.reboot_mode)
        except Refused:
            return State.REFUSED
        except Unproven:
            return State.UNKNOWN
        return State.SENT

    def _delete(self, order: Order, act: Act) -> State:
        machine, namespace = order.machine, self.parameters.cluster_namespace
        try:
            self.cluster.delete(MACHINE, namespace, machine.name, machine.uid, machine.resource_version)
        except (Conflict, NotFound) as error:
            self._withdraw(act)
            raise Withheld(f"it changed in the last moment: {error}") from error
        except Forbidden:
            self._withdraw(act)
            raise
        except KubeError:
            return State.UNKNOWN
        return State.SENT

    def _withdraw(self, act: Act) -> None:
        self.tenure.store(withdrawn(self.tenure.fence.ledger, act))


def _told(findings: Iterable[Finding]) -> str:
    return "; ".join(str(finding) for finding in findings)
