"""Permissions, credentials, missing objects and kinds, access reviews."""

import json
from typing import Any

import pytest

from guards.kube.access import CLUSTER, MACHINE, TALOS_CONTROL_PLANE, Kind
from guards.kube.client import Client
from guards.kube.errors import Forbidden, NotFound, NotServed, Unreachable
from tests.edge.faulty import Faulty, failure, reply
from tests.edge.wire import machine, names, page


def test_403_is_not_tried_again(client: Client, server: Faulty) -> None:
    server.script = [failure(403, 'machines is forbidden: User "x" cannot list')]
    with pytest.raises(Forbidden, match=r"list machines.cluster.x-k8s.io in default: HTTP 403: machines is forbidden"):
        names(client)
    assert len(server.seen) == 1


def test_401_asks_for_fresh_credentials_once(client: Client, server: Faulty) -> None:
    server.script = [failure(401, "Unauthorized"), reply(200, page("a"))]
    assert names(client) == ["a"]
    server.script = [failure(401, "Unauthorized")]
    with pytest.raises(Forbidden, match="HTTP 401"):
        names(client)
    assert len(server.seen) == 4


def missing(name: str) -> bytes:
    status = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": f'clusters "{name}" not found'}
    return reply(404, status | {"reason": "NotFound", "details": {"name": name, "kind": "clusters"}})


def test_a_missing_object_and_a_missing_kind_differ(client: Client, server: Faulty) -> None:
    server.script = [missing("homelab"), reply(404, b"404 page not found\n")]
    with pytest.raises(NotFound, match="homelab"):
        client.get(CLUSTER, "default", "homelab")
    with pytest.raises(NotServed, match="get clusters"):
        client.get(CLUSTER, "default", "homelab")


def test_a_missing_collection_is_not_served(client: Client, server: Faulty) -> None:
    server.script = [reply(404, b"404 page not found\n")]
    with pytest.raises(NotServed, match=r"list machines.cluster.x-k8s.io"):
        names(client)


def test_a_version_that_ends_is_discovered_again(client: Client, server: Faulty) -> None:
    assert client.served_version(MACHINE) == "v1beta2"
    server.versions["cluster.x-k8s.io"] = ["v1beta1"]
    old = page("a") | {"apiVersion": "cluster.x-k8s.io/v1beta1"}
    server.script = [reply(404, b"404 page not found\n"), reply(200, old)]
    assert names(client) == ["a"]


def test_kinds_that_are_not_served(client: Client, server: Faulty) -> None:
    with pytest.raises(NotServed, match=r"no API group controlplane.cluster.x-k8s.io"):
        client.served_version(TALOS_CONTROL_PLANE)
    with pytest.raises(NotServed, match=r"served at v1alpha1; this program reads v9"):
        client.served_version(Kind("Workflow", "argoproj.io", "workflows", ("v9",)))


def test_the_object_must_be_the_one_asked_for(client: Client, server: Faulty) -> None:
    server.script = [reply(200, machine("b"))]
    with pytest.raises(Unreachable, match="the answer is b"):
        client.get(MACHINE, "default", "a")


def review(status: Any) -> bytes:
    return reply(201, {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "status": status})


def test_an_access_review(client: Client, server: Faulty) -> None:
    server.script = [failure(500, "later"), review({"allowed": True}), review({"allowed": False})]
    assert client.allowed("list", "cluster.x-k8s.io", "machines", "default") is True
    assert client.allowed("list", "cluster.x-k8s.io", "machines", "default") is False
    asked = json.loads(server.seen[-1].body)["spec"]["resourceAttributes"]
    assert asked == {"verb": "list", "group": "cluster.x-k8s.io", "resource": "machines", "namespace": "default"}


@pytest.mark.parametrize("status", [None, {}, {"allowed": "yes"}, {"allowed": None}])
def test_a_review_without_a_verdict_is_no_answer(client: Client, server: Faulty, status: Any) -> None:
    server.script = [review(status)]
    with pytest.raises(Unreachable, match="no verdict"):
        client.allowed("list", "cluster.x-k8s.io", "machines", "default")
