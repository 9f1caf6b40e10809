"""Lists over real sockets: whole and consistent, in pages, or an error."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from guards.kube.access import CLUSTER
from guards.kube.client import Client
from guards.kube.errors import Forbidden, KubeError, Unreachable, WentBack
from tests.edge.conftest import FakeTime
from tests.edge.faulty import Faulty, failure, reply
from tests.edge.wire import V2, machine, names, page, truncated


def test_a_list_asks_for_the_newest_state_in_pages(client: Client, server: Faulty) -> None:
    server.script = [reply(200, page("a", token="next")), reply(200, page("b"))]
    assert names(client) == ["a", "b"]
    first, second = (parse_qs(urlsplit(request.path).query) for request in server.seen)
    assert first == {"limit": ["500"], "labelSelector": ["a=b"]}
    assert second == first | {"continue": ["next"]}


def test_one_connection_serves_many_calls(client: Client, server: Faulty) -> None:
    server.script = [reply(200, page("a", token="next")), reply(200, page("b")), reply(200, page()), failure(403, "no")]
    assert names(client) == ["a", "b"]
    names(client)
    with pytest.raises(Forbidden):
        names(client)
    assert len(server.connections) == 1


def test_an_empty_list_is_an_answer(client: Client, server: Faulty) -> None:
    server.script = [reply(200, page())]
    assert names(client) == []


BROKEN = {
    "Status: Failure with 200": (failure(200, "etcd is busy"), "etcd is busy"),
    "items: null": (reply(200, page() | {"items": None}), "items is None"),
    "items is missing": (
        reply(200, {"apiVersion": V2, "kind": "MachineList", "metadata": {"resourceVersion": "1"}}),
        "items is None",
    ),
    "another kind": (reply(200, page() | {"kind": "ClusterList"}), "ClusterList"),
    "another version": (reply(200, page() | {"apiVersion": "cluster.x-k8s.io/v1beta1"}), "v1beta1"),
    "empty body": (reply(200, b""), "not the JSON"),
    "null": (reply(200, b"null"), "None"),
    "a list": (reply(200, b"[]"), r"\[\]"),
    "a page of a proxy": (reply(200, b"<html>Sign in</html>"), "not the JSON"),
    "a key twice": (reply(200, b'{"kind":"MachineList","kind":"MachineList"}'), "'kind' appears twice"),
    "NaN": (reply(200, b'{"a":NaN}'), "NaN"),
    "Infinity": (reply(200, b'{"a":-Infinity}'), "Infinity"),
    "endless nesting": (reply(200, b"[" * 100_000), "nested"),
    "not UTF-8": (reply(200, b'{"a":"\xff"}'), "utf-8"),
    "an object without a name": (reply(200, page() | {"items": [{"metadata": {}}]}), "no metadata.name"),
    "an item that is null": (reply(200, page() | {"items": [None]}), "no metadata.name"),
    "another namespace": (reply(200, page() | {"items": [machine("a", "kube-system")]}), "kube-system"),
    "no resourceVersion": (reply(200, page(version="")), "resourceVersion"),
    "an object twice": (reply(200, page("a", "a")), "listed twice"),
    "too long": (reply(200, page() | {"padding": "x" * 300_000}), "longer than 200000"),
    "compressed": (reply(200, page(), Content_Encoding="gzip"), "gzip"),
    "a redirect": (reply(302, b"", Location="http://127.0.0.1:1/"), "302"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_answer_is_no_answer(client: Client, server: Faulty, fault: str) -> None:
    answer, message = BROKEN[fault]
    server.script = [answer]
    with pytest.raises(Unreachable, match=message):
        names(client)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (page("b", token="next"), "circle"),
        (page("a"), "listed twice"),
        (page("b", version="11"), "resourceVersion 11"),
        ({"kind": "Status", "apiVersion": "v1"}, "Status"),
    ],
)
def test_half_a_list_is_never_returned(client: Client, server: Faulty, second: Any, message: str) -> None:
    server.script = [reply(200, page("a", token="next")), reply(200, second)]
    with pytest.raises(Unreachable, match=message):
        names(client)


def test_an_expired_token_starts_the_list_over(client: Client, server: Faulty) -> None:
    server.script = [
        reply(200, page("a", token="old")),
        failure(410, "too old"),
        reply(200, page("c", version="12", token="new")),
        reply(200, page("d", version="12")),
    ]
    assert names(client) == ["c", "d"]


def test_tokens_that_always_expire_end(client: Client, server: Faulty) -> None:
    first, gone = reply(200, page("a", token="old")), failure(410, "too old")
    server.script = [first, gone] * 3 + [reply(200, page())]
    with pytest.raises(Unreachable, match="expired 3 times"):
        names(client)
    assert len(server.seen) == 6


def test_an_older_state_is_refused(client: Client, server: Faulty) -> None:
    server.script = [
        reply(200, page("a", version="100")),
        reply(200, page(version="99")),
        reply(200, page("b", version="100")),
    ]
    assert names(client) == ["a"]
    with pytest.raises(Unreachable, match="stale list: resourceVersion 99, but 100"):
        names(client)
    assert names(client) == ["b"]


def test_a_state_that_stays_older_for_five_minutes_is_another_world(
    client: Client, server: Faulty, fake_time: FakeTime
) -> None:
    """etcd was restored from a backup: what this run knows of its objects is no longer true."""
    old = reply(200, page("a", version="99"))
    server.script = [reply(200, page("a", version="100")), old]
    names(client)
    for _ in range(30):
        with pytest.raises(Unreachable, match="stale list"):
            names(client)
        fake_time.at += 10
    with pytest.raises(WentBack, match=r"resourceVersion 99, but 100 .*, for 300s: was etcd restored.*Next: compare"):
        names(client)


def test_a_server_that_catches_up_begins_anew(client: Client, server: Faulty, fake_time: FakeTime) -> None:
    """Two API servers behind one address: the slower one is behind again and again, never for long."""
    new, old = reply(200, page("a", version="100")), reply(200, page("a", version="99"))
    server.script = [new, old, new, old, new]
    for version in (100, 99, 100, 99, 100):
        if version == 100:
            assert names(client) == ["a"]
        else:
            with pytest.raises(Unreachable, match="stale list"):
                names(client)
        fake_time.at += 200


def test_each_collection_has_its_own_versions(client: Client, server: Faulty) -> None:
    clusters = page(version="5") | {"kind": "ClusterList"}
    server.script = [reply(200, page("a", version="100")), reply(200, clusters)]
    names(client)
    assert client.list(CLUSTER, "default", "", dict) == []


@pytest.mark.parametrize("status", [403, 404, 429, 500])
def test_an_error_on_a_later_page_voids_the_first_one(client: Client, server: Faulty, status: int) -> None:
    server.script = [reply(200, page("a", token="next")), failure(status, "no")]
    with pytest.raises(KubeError, match=f"HTTP {status}"):
        names(client)


def test_a_later_page_that_is_cut_off_is_asked_for_again_not_left_out(client: Client, server: Faulty) -> None:
    server.script = [reply(200, page("a", token="next")), truncated, reply(200, page("b"))]
    assert names(client) == ["a", "b"]
    assert [parse_qs(urlsplit(request.path).query).get("continue") for request in server.seen] == [
        None, ["next"], ["next"],
    ]  # fmt: skip


def test_pages_without_end_end(client: Client, server: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guards.kube.lists.MOST_PAGES", 20)
    server.script = [reply(200, page(f"m-{n}", token=f"t-{n}")) for n in range(40)]
    with pytest.raises(Unreachable, match="more than 20 pages"):
        names(client)
    assert len(server.seen) == 20
