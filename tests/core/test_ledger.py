"""The ledger: what counts, what is forgotten, and that it survives its own writing."""

from dataclasses import replace
from datetime import timedelta

import pytest

from guards.core.decide import take_in
from guards.core.ledger import Act, Action, Ledger, Outcome, State, pruned, settled, spent, with_act, withdrawn
from guards.core.memory import Memory, durable
from guards.kube.kept import annotations, ledger_of
from tests.core.builders import NOON, WORKERS, down, old, parameters, pool, snapshot

ACT = Act(
    action=Action.REBOOT,
    machine="w-1",
    uid="uid-w-1",
    at=NOON,
    run="run-1",
    pool="uid-workers",
    generation=1,
    state=State.INTENDED,
    boot_time=1_767_000_000,
    why="no milestone for 30m",
)


def seen(hours: float, generation: int = 1, *gone: str) -> object:
    machines = [one for one in (old("w-1"), old("w-2"), old("w-3")) if one.name not in gone]
    pools = (pool(WORKERS, generation=generation),)
    return snapshot(*machines, at=NOON + timedelta(hours=hours), pools=pools)


@pytest.mark.parametrize(
    ("hours", "generation", "counts"),
    [(1, 1, True), (1, 2, True), (25, 1, True), (25, 2, False)],
    ids=["today", "today-new-generation", "same-generation", "neither"],
)
def test_what_counts_against_the_budget(hours: float, generation: int, counts: bool) -> None:
    ledger = Ledger(acts=(replace(ACT, state=State.PROVEN),))
    assert bool(spent(ledger, seen(hours, generation))) is counts  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("hours", "generation", "gone", "state", "kept"),
    [
        (25, 2, ("w-1",), State.PROVEN, False),
        (25, 2, (), State.PROVEN, True),
        (1, 2, ("w-1",), State.PROVEN, True),
        (25, 1, ("w-1",), State.PROVEN, True),
        (25, 2, ("w-1",), State.UNKNOWN, True),
    ],
    ids=["for-ever-done", "machine-is-there", "today", "same-generation", "open"],
)
def test_what_is_forgotten(hours: float, generation: int, gone: tuple[str, ...], state: State, kept: bool) -> None:
    ledger = Ledger(acts=(replace(ACT, state=state),))
    assert bool(pruned(ledger, seen(hours, generation, *gone)).acts) is kept  # type: ignore[arg-type]


def test_an_act_is_never_recorded_twice() -> None:
    ledger = with_act(Ledger(), ACT)
    with pytest.raises(AssertionError, match="S-5"):
        with_act(ledger, replace(ACT, run="run-2"))
    assert with_act(ledger, replace(ACT, action=Action.DELETE)).acts[1].action is Action.DELETE


def test_only_an_intent_can_be_withdrawn() -> None:
    ledger = with_act(Ledger(), ACT)
    assert withdrawn(ledger, ACT).acts == ()
    with pytest.raises(AssertionError):
        withdrawn(ledger, replace(ACT, state=State.SENT))


def test_it_reads_what_it_wrote() -> None:
    look = snapshot(down("w-1"), old("w-2"), old("w-3"))
    memory = take_in(Memory(started_at=NOON), look, parameters())
    ledger = Ledger(
        acts=(replace(ACT, state=State.PROVEN), replace(ACT, action=Action.DELETE, at=NOON + timedelta(hours=1))),
        outcome=Outcome("run-1", "capi-x", {"uid-workers": 1}, 3, "two machines are down", NOON),
        progress_run="run-1",
        progress_step="workers",
        progress=durable(memory),
    )
    written = {key: value for key, value in annotations(ledger).items() if value is not None}
    lease = {"kind": "Lease", "metadata": {"namespace": "default", "name": "capi-rollout-a", "annotations": written}}
    assert set(written) == {f"capi-rollout/{name}" for name in ("budget", "intent", "outcome", "progress")}
    assert ledger_of(lease) == ledger
    assert ledger_of({"kind": "Lease", "metadata": {}}) == Ledger()


def test_a_settled_act_keeps_its_place() -> None:
    ledger = with_act(with_act(Ledger(), ACT), replace(ACT, action=Action.DELETE))
    after = settled(ledger, ACT, State.PROVEN)
    assert [act.state for act in after.acts] == [State.PROVEN, State.INTENDED]
