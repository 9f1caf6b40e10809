"""The present instant: in step with the API server, never slower than our own steady clock, deaf to the wall clock."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from guards.kube.client import Client
from guards.kube.clock import ServerClock, http_date, steady
from guards.kube.errors import Unreachable
from tests.edge.conftest import FakeTime
from tests.edge.faulty import Faulty, failure, reply
from tests.edge.wire import names, page

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def date(**offset: float) -> str:
    return f"{NOON + timedelta(**offset):%a, %d %b %Y %H:%M:%S} GMT"


class Clocks:
    """Our two clocks, and one that lives by them."""

    def __init__(self, wall: datetime) -> None:
        self.wall, self.steady = wall.timestamp(), 1000.0
        self.server = ServerClock(lambda: self.steady, lambda: self.wall)

    def pass_by(self, seconds: float) -> datetime:
        self.steady += seconds
        return self.server.now()


def test_the_steady_clock_counts_suspended_time_where_it_can() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= steady() <= time.clock_gettime(time.CLOCK_BOOTTIME)


@pytest.mark.parametrize("jump", [-86_400, -7_200, -1, 1, 7_200, 10**9])
def test_whoever_sets_the_wall_clock_moves_nothing(jump: float) -> None:
    clocks = Clocks(NOON)
    clocks.wall += jump
    assert clocks.pass_by(10) == NOON + timedelta(seconds=10)
    clocks.server.observe(date(seconds=11), clocks.steady)
    clocks.wall -= 3 * jump
    assert clocks.pass_by(10) == NOON + timedelta(seconds=20)


@pytest.mark.parametrize("ours", [timedelta(hours=-3), timedelta(seconds=-3), timedelta(seconds=5), timedelta(hours=3)])
def test_the_first_answer_sets_the_clock_in_either_direction(ours: timedelta) -> None:
    """It never stood still until a wall clock that was ahead was caught up with: every age would have been 0."""
    clocks = Clocks(NOON + ours)
    clocks.server.observe(date(), clocks.steady)
    assert abs(clocks.server.now() - NOON) <= timedelta(seconds=1)
    assert clocks.pass_by(60) - NOON >= timedelta(seconds=60)


def test_an_age_is_never_too_short() -> None:
    """Whatever later answers say: the server may turn out to be ahead, but our own time always counts."""
    clocks = Clocks(NOON)
    for offset in (0, 25, -3, 3, 0, 20):
        before = clocks.server.now()
        clocks.server.observe(date(seconds=clocks.steady - 1000 + offset), clocks.steady)
        assert clocks.pass_by(10) - before >= timedelta(seconds=10)


def test_a_machine_that_was_frozen_learns_it_from_the_server() -> None:
    """A hypervisor stops even the steady clock; the next answer tells."""
    clocks = Clocks(NOON)
    clocks.server.observe(date(), clocks.steady)
    evidence = clocks.server.now()
    clocks.server.observe(date(minutes=10), clocks.steady)
    assert clocks.server.now() - evidence >= timedelta(minutes=9)


def test_a_slow_answer_is_no_skew() -> None:
    """The server wrote the header at some time between our request and its last byte."""
    clocks = Clocks(NOON)
    clocks.server.observe(date(), clocks.steady)
    sent, clocks.steady = clocks.steady, clocks.steady + 600
    for seconds in (0, 300, 600):
        clocks.server.observe(date(seconds=seconds), sent)
    assert clocks.server.now() == NOON + timedelta(seconds=600)


def test_a_server_that_contradicts_itself_decides_no_age() -> None:
    clocks = Clocks(NOON)
    clocks.server.observe(date(), clocks.steady)
    clocks.server.observe(date(seconds=-30), clocks.steady)
    with pytest.raises(Unreachable, match="clock is 3600s behind its earlier answers"):
        clocks.server.observe(date(seconds=-3601), clocks.steady)


@pytest.mark.parametrize(
    "header",
    [None, "", "nonsense", "Tue, 24 Nov 2026 12:00:00", "Thu, 01 Jan 1970 00:00:00 GMT",
     "Fri, 31 Dec 9999 23:59:59 GMT", "Tue, 99 Nov 2026 12:00:00 GMT"],
)  # fmt: skip
def test_an_odd_header_says_nothing(header: str | None) -> None:
    clocks = Clocks(NOON)
    clocks.server.observe(header, clocks.steady)
    assert (http_date(header), clocks.pass_by(1)) == (None, NOON + timedelta(seconds=1))


# over the wire


def test_the_client_takes_the_time_from_its_answers(client: Client, server: Faulty, fake_time: FakeTime) -> None:
    server.script = [reply(200, page(), Date=date())]
    names(client)
    assert abs(client.now() - NOON) <= timedelta(seconds=2)
    fake_time.at += 90
    assert client.now() >= NOON + timedelta(seconds=88)


def test_an_answer_from_the_past_is_void(client: Client, server: Faulty) -> None:
    server.script = [reply(200, page("a"), Date=date()), reply(200, page("a"), Date=date(hours=-1))]
    names(client)
    with pytest.raises(Unreachable, match=r"list machines.*behind its earlier answers.*Next: compare the clocks"):
        names(client)
    assert len(server.seen) == 2


def test_an_error_page_does_not_tell_the_time(client: Client, server: Faulty) -> None:
    """It may come from something in between, with a clock of its own."""
    server.script = [reply(200, page(), Date=date()), failure(502, "bad", Date=date(hours=9)), reply(200, page("a"))]
    names(client)
    assert names(client) == ["a"]
    assert client.now() < NOON + timedelta(hours=1)
