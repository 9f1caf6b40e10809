"""G4 and the 60 seconds: what cannot be seen is neither healthy nor a breach."""

from dataclasses import replace
from datetime import datetime

from guards.core.model import Ready, Snapshot
from guards.exits import Exit
from tests.core.builders import CLUSTER, CP, NOON, WORKERS, after, dark, deleting, machine, old, parameters, snapshot
from tests.core.looks import last, rules, watch

NO_PROBE = replace(CLUSTER, remote_connection=Ready.FALSE, remote_connection_message="connection refused")


def everything_dark(at: datetime, **changes: object) -> Snapshot:
    machines = [dark(name, **changes) for name in ("cp-1", "cp-2", "cp-3", "w-1", "w-2", "w-3")]
    return snapshot(*machines, at=at)


def test_all_nodes_out_of_sight_is_indeterminate_not_a_breach() -> None:
    verdicts = watch([snapshot(), *(everything_dark(after(s)) for s in (30, 120, 300))], parameters(), CP)
    assert all(verdict.exit is None for verdict in verdicts)
    assert "G4" in rules(verdicts[-1])


def test_after_ten_minutes_it_gives_up_with_4() -> None:
    looks = [snapshot(), *(everything_dark(after(s)) for s in (30, 600, 629, 630))]
    verdicts = watch(looks, parameters(), CP)
    assert [v.exit for v in verdicts] == [None, None, None, None, Exit.TIMED_OUT]
    assert rules(verdicts[-1]) >= {"G4"}


def test_the_clock_begins_again_after_a_clear_view() -> None:
    looks = [snapshot(), everything_dark(after(30)), snapshot(at=after(300)), everything_dark(after(400))]
    assert watch([*looks, everything_dark(after(700))], parameters(), CP)[-1].exit is None


def test_it_explains_only_machines_that_were_available_at_the_last_good_look() -> None:
    before = snapshot(machine("w-1", ready=Ready.FALSE), machine("w-2"), machine("w-3"))
    dark_now = snapshot(*(dark(n) for n in ("cp-1", "cp-2", "cp-3", "w-1", "w-2", "w-3")), at=after(70))
    verdict = last([before, dark_now], parameters(), CP)
    assert verdict.exit is None, "w-1 was down, the five others are explained"
    started_blind = last([dark_now], parameters(), CP)
    assert started_blind.exit is Exit.REFUSED, "nothing was ever seen well"


def test_two_deletions_are_a_breach_also_in_the_dark() -> None:
    seen = snapshot(deleting("w-1"), deleting("w-2"), old("w-3"), cluster=NO_PROBE)
    assert last([seen], parameters(), WORKERS).exit is Exit.REFUSED


def test_the_probe_alone_says_out_of_sight() -> None:
    looks = [snapshot(at=after(s), cluster=NO_PROBE) for s in (0, 20, 40, 60)]
    verdicts = watch(looks, parameters(), CP)
    assert all(v.exit is None for v in verdicts), "done is never concluded without sight"
    assert any("connection refused" in f.text for f in verdicts[-1].findings)


def test_one_dark_machine_keeps_its_last_value_for_60_seconds() -> None:
    def look(second: int) -> Snapshot:
        return snapshot(deleting("w-1"), dark("w-2"), old("w-3"), at=after(second))

    before = snapshot(machine("w-1"), machine("w-2"), old("w-3"))
    verdicts = watch([before, look(30), look(60), look(61)], parameters(), WORKERS)
    assert [v.exit for v in verdicts] == [None, None, None, Exit.REFUSED]


def test_a_dark_machine_never_seen_ready_counts_as_down_at_once() -> None:
    seen = snapshot(deleting("w-1"), dark("w-2"), old("w-3"), at=NOON)
    assert last([seen], parameters(), WORKERS).exit is Exit.REFUSED


def test_a_node_that_stopped_reporting_counts_at_once() -> None:
    lost = machine("w-2", ready=Ready.UNKNOWN, ready_reason="NodeHealthyUnknown")
    before = snapshot(machine("w-1"), machine("w-2"), old("w-3"))
    verdict = last([before, snapshot(deleting("w-1"), lost, old("w-3"), at=after(5))], parameters(), WORKERS)
    assert verdict.exit is Exit.REFUSED
