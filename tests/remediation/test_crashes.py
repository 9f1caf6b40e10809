"""The process dies at any moment around an act and is started again: never two acts for one intent, never two machines.

Counted in the world's own truth, not in what the step says.
"""

from pathlib import Path

import pytest

import guards
from guards.core.verdict import Ending
from guards.exits import Exit
from guards.simulator import LAB, Simulation
from guards.simulator.scenarios import CONTROL_PLANE, WORKERS
from guards.steps import World, run_step
from tests.remediation.bench import Bench, hang_at_birth
from tests.remediation.interposed import Counter, Crash, Interposed, crash_at_line

NEW = {"workers": f"{WORKERS}-4", "control-plane": f"{CONTROL_PLANE}-4"}
ACTING = frozenset(Path(guards.__file__).parent / name for name in ("remediate.py", "tenure.py", "kube/lease.py"))
ENDS = (Exit.DONE, Exit.REFUSED, Exit.TIMED_OUT)


def bench_of(step: str, *, heals: bool) -> Bench:
    """A fast world: machines boot in seconds, and count as stuck after three minutes."""
    world = Simulation(remediator=True, seed=7, timings=LAB)
    patience = {"stuckAfter": "3m", "workersTimeout": "20m", "controlPlaneTimeout": "20m"}
    bench = Bench(step, world, patience).roll()
    hang_at_birth(bench, NEW[step], heals=heals)
    return bench


def attempt(bench: Bench, counter: Counter) -> Ending:
    world = bench.world()
    door = Interposed(world.cluster, counter)
    talos = Interposed(world.talos, counter)
    return run_step(bench.step, World(door, door, world.journal, talos), bench.settings())


def started_again(bench: Bench) -> Ending:
    bench.again()
    return bench.run()


def around_the_acts(step: str, *, heals: bool) -> list[int]:
    """Numbers of the calls from the last judgement before an act until the first wait after it."""
    bench, counter = bench_of(step, heals=heals), Counter()
    assert attempt(bench, counter).exit is Exit.DONE, bench.text
    calls = counter.calls
    begins = [n for n, name in enumerate(calls) if name == "credential"][
        1:
    ]  # the first one is the step's own beginning
    assert len(begins) == bench.reboots + bench.deletes
    return [n + 1 for begin in begins for n in range(begin - 1, calls.index("wait", begin) + 1)]


def assert_safe(bench: Bench, ending: Ending) -> None:
    world = bench.simulation
    assert all(len(instants) <= 1 for instants in world.reboots.values()), "S-5: rebooted twice"
    assert len(set(world.deletes_by_api)) == len(world.deletes_by_api), "S-5: deleted twice"
    assert bench.reboots + bench.deletes <= 2, "S-4: more acts than maxRemediations"
    assert not world.etcd_quorum_lost, "S-2"
    assert ending.exit in ENDS
    if ending.exit is not Exit.DONE:
        assert "not repeated" in ending.sentence or "maxRemediations" in ending.sentence, ending.sentence


@pytest.mark.mutants
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("step", "heals"), [("workers", True), ("workers", False), ("control-plane", False)])
def test_a_crash_at_every_call_around_an_act(step: str, heals: bool, after: bool) -> None:
    for number in around_the_acts(step, heals=heals):
        bench = bench_of(step, heals=heals)
        with pytest.raises(Crash):
            attempt(bench, Counter(number, after=after))
        assert_safe(bench, started_again(bench))


@pytest.mark.mutants
def test_a_crash_at_every_line_of_an_act() -> None:
    with crash_at_line(0, "_try", ACTING) as seen:
        assert bench_of("workers", heals=True).run().exit is Exit.DONE
    assert seen[0] > 50
    for number in range(1, seen[0] + 1):
        bench = bench_of("workers", heals=True)
        with pytest.raises(Crash), crash_at_line(number, "_try", ACTING):
            bench.run()
        assert_safe(bench, started_again(bench))


def test_two_pods_of_one_run_act_once() -> None:
    """A pod that Argo has given up goes on beside its successor: each call of one is a chance for the other."""
    bench = bench_of("workers", heals=True)
    with pytest.raises(Crash):
        attempt(bench, Counter(next(iter(around_the_acts("workers", heals=True)))))
    bench.again()
    other = bench.world()
    ended: list[Ending] = []

    class Successor(Interposed):
        """Runs the whole successor at the first call of the act."""

        def __getattr__(self, name: str) -> object:
            if name == "reboot" and not ended:
                ended.append(run_step("workers", other, bench.settings()))
            return getattr(self._door, name)

    world = bench.world()
    talos = Successor(world.talos, Counter())
    run_step("workers", World(world.cluster, world.clock, world.journal, talos), bench.settings())
    assert ended
    assert bench.reboots == 1, bench.text


def test_a_process_that_was_frozen_does_not_act() -> None:
    """F-C4: between the last look and the call a minute passes; what was seen does not count any more."""
    bench = bench_of("workers", heals=True)
    frozen: list[str] = []

    class Slow(Interposed):
        def update(self, *arguments: object) -> object:
            stored = self._door.update(*arguments)
            if "capi-rollout/intent" in stored["metadata"]["annotations"] and not frozen:
                frozen.append("for a minute")
                assert bench.reboots == 0
                bench.simulation.advance(60)
            return stored

    world = bench.world()
    door = Slow(world.cluster, Counter())
    ending = run_step("workers", World(door, world.clock, world.journal, world.talos), bench.settings())
    assert ending.exit is Exit.DONE, bench.text
    assert bench.reboots == 1
    assert "the evidence grew too old meanwhile [R-withheld]" in bench.text
