"""Record real objects in telling moments of a roll: the ground truth of the parser's tests.

A lab is created and both of its scopes are rolled; every look takes all kinds in every recorded version, and the
first look that shows a moment is kept. Nothing secret is written: no Secrets, no status and no data of TalosConfigs.
"""

import http.client
import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from time import gmtime, monotonic, strftime
from typing import Any

from ci.cluster import kube, lab
from ci.cluster.processes import pause, say
from ci.cluster.settings import PKI, ROOT, ClusterError, pins

Object = dict[str, Any]
Look = dict[str, list[Object]]
"""Path of a kind below /apis, like cluster.x-k8s.io/v1beta2/machines -> its objects."""

TARGET = ROOT / "tests" / "kube" / "recorded"
NAMESPACE = "recorded"
NAME = "homelab"
VERSION = "v1.35.1"
"""What the labs, born with v1.35.0, are rolled to."""
MACHINES = "cluster.x-k8s.io/v1beta2/machines"
CAPI = tuple(
    f"cluster.x-k8s.io/{version}/{plural}"
    for version in ("v1beta2", "v1beta1")
    for plural in ("clusters", "machinedeployments", "machinesets", "machines")
)
INFRASTRUCTURE = tuple(
    f"infrastructure.cluster.x-k8s.io/v1beta2/{plural}" for plural in ("devmachines", "devmachinetemplates")
)
TALOS = (
    "controlplane.cluster.x-k8s.io/v1alpha3/taloscontrolplanes",
    "bootstrap.cluster.x-k8s.io/v1alpha3/talosconfigs",
    "bootstrap.cluster.x-k8s.io/v1alpha3/talosconfigtemplates",
)
KINDS = {"talos": CAPI + INFRASTRUCTURE + TALOS, "kubeadm": CAPI + INFRASTRUCTURE}
PROGRAMS = {
    "kubernetes": "K8S_VERSION",
    "cluster-api": "CAPI_VERSION",
    "cabpt": "CABPT_VERSION",
    "cacppt": "CACPPT_VERSION",
}


def record(kind: str) -> list[Path]:
    """Record every moment of one kind of lab; ClusterError names the moments that never showed."""
    lab.create(kind, NAME, NAMESPACE)
    slow_nodes = '{"metadata": {"annotations": {"lab.talos/node-ready": "4s"}}}'
    kube.kubectl("-n", NAMESPACE, "patch", "cluster", NAME, "--type=merge", "-p", slow_nodes)
    try:
        seen = {"created": first(kind, new_machine, 60), "settled": first(kind, settled, 240)}
        seen |= roll(
            kind, "workers", f"machinedeployment/{NAME}-workers", '{"spec":{"template":{"spec":{"version":"v1.35.1"}}}}'
        )
        if kind == "talos":
            version = '{"spec":{"version":"v1.35.1"}}'
            seen |= roll(kind, "control-plane", f"taloscontrolplane/{NAME}-cp", version)
    finally:
        lab.delete(NAME, NAMESPACE)
    return [write(kind, moment, look) for moment, look in seen.items()]


def roll(kind: str, scope: str, what: str, change: Object) -> dict[str, Look]:
    """Change one object and keep the first look at each moment, until everything is settled again."""
    kube.kubectl("-n", NAMESPACE, "patch", what, "--type=merge", "-p", json.dumps(change))
    wanted: dict[str, Callable[[list[Object]], bool]] = {
        f"{scope}-deleting": deleting,
        f"{scope}-gone": gone,
        f"{scope}-new-machine": new_machine,
        f"{scope}-node-not-ready": node_not_ready,
    }
    seen: dict[str, Look] = {}
    for look in looks(kind, 300):
        for moment, shows in wanted.items():
            if moment not in seen and shows(look[MACHINES]):
                seen[moment] = look
                say(f"{kind}: {moment}")
        if len(seen) == len(wanted) and settled(look[MACHINES]) and rolled(look, scope):
            return seen | {f"{scope}-rolled": look}
    raise ClusterError(f"{kind} {scope}: never seen: {', '.join(wanted.keys() - seen.keys()) or 'the end of the roll'}")


def first(kind: str, shows: Callable[[list[Object]], bool], seconds: float) -> Look:
    for look in looks(kind, seconds):
        if shows(look[MACHINES]):
            return look
    raise ClusterError(f"{kind} lab {NAMESPACE}/{NAME}: {shows.__name__} not seen within {seconds:.0f} s")


def condition(machine: Object, name: str) -> str:
    conditions = machine.get("status", {}).get("conditions", [])
    return next((str(each["status"]) for each in conditions if each["type"] == name), "absent")


def deleting(machines: list[Object]) -> bool:
    return any("deletionTimestamp" in each["metadata"] and condition(each, "Ready") == "False" for each in machines)


def gone(machines: list[Object]) -> bool:
    """The gap: the old machine is gone, the new one does not exist yet."""
    return len(machines) == 5 and not any("deletionTimestamp" in each["metadata"] for each in machines)


def new_machine(machines: list[Object]) -> bool:
    return any(condition(each, "Ready") == "absent" for each in machines)


def node_not_ready(machines: list[Object]) -> bool:
    return any(
        each.get("status", {}).get("nodeRef") and condition(each, "NodeHealthy") == "False"
        for each in machines
        if "deletionTimestamp" not in each["metadata"]
    )


def settled(machines: list[Object]) -> bool:
    return len(machines) == 6 and all(condition(each, "Ready") == "True" for each in machines)


def rolled(look: Look, scope: str) -> bool:
    """Every machine of the scope has the version that the roll asked for."""
    is_control_plane = "cluster.x-k8s.io/control-plane"
    mine = [each for each in look[MACHINES] if (is_control_plane in each["metadata"]["labels"]) == (scope != "workers")]
    return all(each["spec"]["version"] == VERSION for each in mine)


def looks(kind: str, seconds: float) -> Iterator[Look]:
    """One look after the other at every kind, over one connection: about ten in a second."""
    context = ssl.create_default_context(cafile=str(PKI / "ca.crt"))
    context.load_cert_chain(PKI / "admin.crt", PKI / "admin.key")
    connection = http.client.HTTPSConnection("127.0.0.1", 6443, context=context, timeout=10)
    deadline = monotonic() + seconds
    while monotonic() < deadline:
        yield {path: listed(connection, path) for path in KINDS[kind]}
        pause(0.02)


def listed(connection: http.client.HTTPSConnection, path: str) -> list[Object]:
    group, version, plural = path.split("/")
    connection.request("GET", f"/apis/{group}/{version}/namespaces/{NAMESPACE}/{plural}")
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise ClusterError(f"GET {path}: {answer.status} {body[:200]!r}; next: scripts/cluster status")
    return [cleaned(each) for each in json.loads(body)["items"]]


def cleaned(thing: Object) -> Object:
    """Without what nobody parses, and without anything that could be a secret."""
    thing["metadata"].pop("managedFields", None)
    if thing["kind"].startswith("TalosConfig"):
        thing.pop("status", None)
        spec = thing["spec"]
        spec.get("template", {}).get("spec", spec).pop("data", None)
    return thing


def write(kind: str, moment: str, look: Look) -> Path:
    TARGET.mkdir(parents=True, exist_ok=True)
    about = {
        "moment": moment,
        "lab": kind,
        "at": strftime("%Y-%m-%dT%H:%M:%SZ", gmtime()),
        "by": f"scripts/cluster record {kind}",
        "versions": {program: pins()[pin] for program, pin in PROGRAMS.items()},
    }
    path = TARGET / f"{kind}-{moment}.json"
    path.write_text(json.dumps({"recorded": about, "objects": look}, indent=1) + "\n")
    return path
