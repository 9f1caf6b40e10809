"""Objects, pages and the shortest call, for tests of the client."""

import socket
from typing import Any

from guards.kube.access import MACHINE
from guards.kube.client import Client
from tests.edge.faulty import reply

V2 = "cluster.x-k8s.io/v1beta2"


def machine(name: str, namespace: str = "default") -> dict[str, Any]:
    return {"apiVersion": V2, "kind": "Machine", "metadata": {"name": name, "namespace": namespace}}


def page(*names: str, version: str = "10", token: str = "") -> dict[str, Any]:
    head = {"resourceVersion": version} | ({"continue": token} if token else {})
    return {"apiVersion": V2, "kind": "MachineList", "metadata": head, "items": [machine(name) for name in names]}


def names(client: Client) -> list[str]:
    return client.list(MACHINE, "default", "a=b", lambda item: str(item["metadata"]["name"]))


def truncated(connection: socket.socket) -> None:
    connection.sendall(reply(200, page("a"))[:-5])
