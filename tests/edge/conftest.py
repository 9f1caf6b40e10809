"""A client of the misbehaving API server, whose waiting costs no time."""

from collections.abc import Iterator

import pytest
from kubernetes.client import Configuration

from guards.kube.client import Client
from guards.kube.connect import Connection, bounded
from guards.kube.transport import Limits
from tests.edge import canary
from tests.edge.faulty import Faulty

QUICK = Limits(connect=0.5, read=0.5, total=0.8, body=200_000, tries=5)
HASTY = Limits(connect=0.2, read=0.1, total=0.2, body=200_000, tries=5)
"""For calls that no good answer awaits: what a busy machine could not answer in this time is never asked."""


class FakeTime:
    """Sleeping costs nothing and moves the clock."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


@pytest.fixture
def server() -> Iterator[Faulty]:
    faulty = Faulty()
    yield faulty
    faulty.close()


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def client(server: Faulty, fake_time: FakeTime) -> Iterator[Client]:
    """Waits for nothing: its sleeps are counted, and its budget (30 s) passes only by sleeping."""
    limits = Limits(QUICK.connect, QUICK.read, 30, QUICK.body, QUICK.tries)
    made = Client(connection_to(server), limits, fake_time.sleep, fake_time.monotonic)
    yield made
    made.close()


@pytest.fixture
def hasty(server: Faulty) -> Iterator[Client]:
    """Ends each call soon, in real time. It has asked already what is served."""
    made = Client(connection_to(server), HASTY)
    made._served.update({group: tuple(versions) for group, versions in server.versions.items()})
    yield made
    made.close()


def connection_to(server: Faulty) -> Connection:
    secret = {"BearerToken": f"Bearer {canary.TOKEN}"}
    return Connection("test", "default", lambda: bounded(Configuration(host=server.url, api_key=dict(secret))))
