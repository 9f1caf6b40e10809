"""The client as a whole: proxies, credentials on the wire, threads."""

import threading

import pytest

from guards.kube.access import MACHINE
from guards.kube.client import Client
from guards.kube.errors import Unreachable
from guards.kube.transport import Limits
from tests.edge import canary
from tests.edge.conftest import QUICK, connection_to
from tests.edge.faulty import Faulty, reply
from tests.edge.wire import names, page


def test_the_environments_proxy_is_not_used(server: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    client = Client(connection_to(server), QUICK)
    assert client.served_version(MACHINE) == "v1beta2"
    client.close()


def test_every_request_carries_the_credential(client: Client, server: Faulty) -> None:
    """One release of the official client forgot to."""
    server.script = [reply(200, page("a", token="next")), reply(200, page("b"))]
    names(client)
    assert [request.headers["authorization"] for request in server.seen] == [f"Bearer {canary.TOKEN}"] * 2


def test_threads_do_not_share_a_connection(server: Faulty) -> None:
    """A renewal must not wait behind a read that hangs."""
    client = Client(connection_to(server), Limits(0.5, 20, 20))
    client.served_version(MACHINE)
    server.script = [server.hold, reply(200, page("a"))]
    broken: list[str] = []

    def read() -> None:
        try:
            names(client)
        except Unreachable as error:
            broken.append(str(error))

    slow = threading.Thread(target=read, daemon=True)
    slow.start()
    server.until(1)
    assert names(client) == ["a"]
    client.close()
    slow.join(20)
    assert len(broken) == 1, "closing ends a call that hangs"
    assert broken[0].endswith("this client is closed"), "and it is not tried again"


def test_whoever_stops_a_client_from_outside_stops_every_request(server: Faulty) -> None:
    stop = threading.Event()
    client = Client(connection_to(server), QUICK, stop=stop)
    server.script = [reply(200, page("a"))]
    names(client)
    stop.set()
    with pytest.raises(Unreachable, match="this client is closed"):
        names(client)
    assert len(server.seen) == 1
    client.close()
