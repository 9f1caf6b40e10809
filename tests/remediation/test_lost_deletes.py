"""The answer to a delete is lost, or is a no: it is read back by UID, counted once, and never sent again."""

from guards.core.verdict import Ending
from guards.exits import Exit
from guards.kube.errors import Conflict, Forbidden, KubeError, Unreachable
from guards.steps import World, run_step
from tests.remediation.bench import Bench
from tests.remediation.interposed import Counter, Interposed
from tests.remediation.test_crashes import bench_of


class Lossy(Interposed):
    """Fails every delete with `error`, after it was `done` or instead."""

    def __init__(self, bench: Bench, error: KubeError, *, done: bool) -> None:
        super().__init__(bench.simulation, Counter())
        self._error, self._done = error, done
        self.asked: list[str] = []

    def delete(self, *arguments: str) -> None:
        self.asked.append(arguments[3])
        if self._done:
            self._door.delete(*arguments)
        raise self._error


def hanging() -> Bench:
    """A worker that no reboot heals: after the reboot comes the delete."""
    return bench_of("workers", heals=False)


def run(bench: Bench, door: Lossy) -> Ending:
    world = bench.world()
    return run_step("workers", World(door, door, world.journal, world.talos), bench.settings())


def test_a_delete_whose_answer_is_lost_counts_once_and_is_seen_by_its_uid() -> None:
    """F-A3: applied, then reset. The Machine is gone, so it was done."""
    bench = hanging()
    door = Lossy(bench, Unreachable("whether it was done is unknown: reset"), done=True)
    ending = run(bench, door)
    assert ending.exit is Exit.DONE, bench.text
    assert (len(door.asked), bench.deletes) == (1, 1)
    assert "(proven)" in ending.sentence


def test_a_delete_that_never_arrived_is_not_sent_again() -> None:
    """F-A2, F-A7, F-A18: nobody knows, and then nothing is seen of it. A person decides."""
    bench = hanging()
    door = Lossy(bench, Unreachable("whether it was done is unknown: HTTP 500: failed calling webhook"), done=False)
    ending = run(bench, door)
    assert ending.exit in (Exit.REFUSED, Exit.TIMED_OUT), bench.text
    assert (len(door.asked), bench.deletes) == (1, 0)
    assert "(unproven): it is not repeated" in ending.sentence


def test_a_delete_of_a_machine_that_has_changed_was_not_done_and_is_not_counted() -> None:
    """F-A11: its intent is taken back, and whatever follows is judged afresh."""
    bench = hanging()
    ending = run(bench, Lossy(bench, Conflict("the resourceVersion in the precondition"), done=False))
    assert bench.deletes == 0
    assert "it changed in the last moment" in bench.text
    assert "delete of" not in ending.sentence


def test_a_delete_that_is_not_permitted_any_more_ends_the_run_at_once() -> None:
    """F-A9: nothing is tried twice, nothing is counted, and the sentence says what is missing."""
    bench = hanging()
    door = Lossy(bench, Forbidden("machines is forbidden"), done=False)
    ending = run(bench, door)
    assert ending.exit is Exit.FORBIDDEN, bench.text
    assert (len(door.asked), bench.deletes) == (1, 0)
    assert "not permitted: machines is forbidden" in ending.sentence
