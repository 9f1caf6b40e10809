"""Record real objects in telling moments of a roll: the ground truth of the parser's tests.

A lab is created and its scopes are rolled; every look takes all kinds in every recorded version, and the first look
that shows a moment is kept. An object that did not change between two moments is written once, as name/resourceVersion.
Nothing secret is written: no Secrets, no status and no data of TalosConfigs.
"""

import http.client
import json
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import gmtime, monotonic, strftime
from typing import Any

from ci.cluster import kube, lab
from ci.cluster.processes import pause, say
from ci.cluster.settings import PKI, ROOT, ClusterError, pins

Object = dict[str, Any]


@dataclass(frozen=True)
class Look:
    """`objects`: path of a kind below /apis, like cluster.x-k8s.io/v1beta2/machines -> its objects."""

    objects: dict[str, list[Object]]
    at: str = field(default_factory=lambda: strftime("%Y-%m-%dT%H:%M:%SZ", gmtime()))

    @property
    def machines(self) -> list[Object]:
        return self.objects[MACHINES]

    def is_one_moment(self) -> bool:
        """Nothing changed between the lists of the two versions of a kind."""
        pairs = ((path, path.replace("/v1beta2/", "/v1beta1/")) for path in CAPI if "/v1beta2/" in path)
        return all(set(map(key, self.objects[new])) == set(map(key, self.objects[old])) for new, old in pairs)


TARGET = ROOT / "tests" / "kube" / "recorded"
NAME = "homelab"
VERSION = "v1.35.1"
"""What the labs, born with v1.35.0, are rolled to."""
MACHINES = "cluster.x-k8s.io/v1beta2/machines"
CAPI = tuple(
    f"cluster.x-k8s.io/{version}/{plural}"
    for version in ("v1beta2", "v1beta1")
    for plural in ("clusters", "machinedeployments", "machinesets", "machines")
)
INFRASTRUCTURE = ("infrastructure.cluster.x-k8s.io/v1beta2/devmachines",)
TALOS = (
    "controlplane.cluster.x-k8s.io/v1alpha3/taloscontrolplanes",
    "bootstrap.cluster.x-k8s.io/v1alpha3/talosconfigs",
)
KINDS = {"talos": CAPI + INFRASTRUCTURE + TALOS, "kubeadm": CAPI}
KEPT = {
    "talos": ("created", "workers-gone", "control-plane-deleting", "control-plane-new-machine", "control-plane-rolled"),
    "kubeadm": ("workers-deleting", "workers-rolled"),
}
"""Moments worth their size in the repository: every kind of moment, and both sorts of pools."""
PROGRAMS = {
    "kubernetes": "K8S_VERSION",
    "cluster-api": "CAPI_VERSION",
    "cabpt": "CABPT_VERSION",
    "cacppt": "CACPPT_VERSION",
}


def namespace(kind: str) -> str:
    return f"recorded-{kind}"


def record(kind: str) -> Path:
    """Record every moment of one kind of lab; ClusterError names the moments that never showed."""
    lab.create(kind, NAME, namespace(kind))
    try:
        moments = {"created": first(kind, new_machine, 60), "settled": first(kind, settled, 240)}
        workers = {"spec": {"template": {"spec": {"version": VERSION}}}}
        moments |= roll(kind, "workers", f"machinedeployment/{NAME}-workers", workers)
        if kind == "talos":
            moments |= roll(kind, "control-plane", f"taloscontrolplane/{NAME}-cp", {"spec": {"version": VERSION}})
    finally:
        lab.delete(NAME, namespace(kind))
    return write(kind, {moment: look for moment, look in moments.items() if moment in KEPT[kind]})


def roll(kind: str, scope: str, what: str, change: Object) -> dict[str, Look]:
    """Change one object and keep the first look at each moment, until everything is settled again."""
    kube.kubectl("-n", namespace(kind), "patch", what, "--type=merge", "-p", json.dumps(change))
    wanted: dict[str, Callable[[list[Object]], bool]] = {
        f"{scope}-deleting": deleting,
        f"{scope}-gone": gone,
        f"{scope}-new-machine": new_machine,
    }
    seen: dict[str, Look] = {}
    for look in looks(kind, 300):
        for moment, shows in wanted.items():
            if moment not in seen and shows(look.machines):
                seen[moment] = look
                say(f"{kind}: {moment}")
        if len(seen) == len(wanted) and settled(look.machines) and rolled(look, scope):
            return seen | {f"{scope}-rolled": look}
    raise ClusterError(f"{kind} {scope}: never seen: {', '.join(wanted.keys() - seen.keys()) or 'the end of the roll'}")


def first(kind: str, shows: Callable[[list[Object]], bool], seconds: float) -> Look:
    for look in looks(kind, seconds):
        if shows(look.machines):
            return look
    raise ClusterError(f"{kind} lab {namespace(kind)}/{NAME}: {shows.__name__} not seen within {seconds:.0f} s")


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


def settled(machines: list[Object]) -> bool:
    return len(machines) == 6 and all(condition(each, "Ready") == "True" for each in machines)


def of_control_plane(thing: Object) -> bool:
    return "cluster.x-k8s.io/control-plane" in thing["metadata"].get("labels", {})


def rolled(look: Look, scope: str) -> bool:
    """Every machine of the scope has the version that the roll asked for."""
    mine = [each for each in look.machines if of_control_plane(each) == (scope != "workers")]
    return all(each["spec"]["version"] == VERSION for each in mine)


def looks(kind: str, seconds: float) -> Iterator[Look]:
    """One look after the other at every kind, over one connection: about ten in a second."""
    context = ssl.create_default_context(cafile=str(PKI / "ca.crt"))
    context.load_cert_chain(PKI / "admin.crt", PKI / "admin.key")
    connection = http.client.HTTPSConnection("127.0.0.1", 6443, context=context, timeout=10)
    deadline = monotonic() + seconds
    while monotonic() < deadline:
        look = Look({path: listed(connection, path, namespace(kind)) for path in KINDS[kind]})
        if look.is_one_moment():
            yield look
        pause(0.02)


def listed(connection: http.client.HTTPSConnection, path: str, where: str) -> list[Object]:
    group, version, plural = path.split("/")
    connection.request("GET", f"/apis/{group}/{version}/namespaces/{where}/{plural}")
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise ClusterError(f"GET {path}: {answer.status} {body[:200]!r}; next: scripts/cluster status")
    found: list[Object] = json.loads(body)["items"]
    return found


def key(thing: Object) -> str:
    return f"{thing['metadata']['name']}/{thing['metadata']['resourceVersion']}"


def cleaned(thing: Object) -> Object:
    """Without what nobody parses, and without anything that could be a secret."""
    thing["metadata"].pop("managedFields", None)
    thing["metadata"].get("annotations", {}).pop("cluster.x-k8s.io/conversion-data", None)
    for part in ("nodeInfo", "addresses", "deprecated"):
        thing.get("status", {}).pop(part, None)
    if thing["kind"] == "TalosConfig":
        thing.pop("status", None)
        thing["spec"].pop("data", None)
    if thing["kind"] == "DevMachine":  # of an infrastructure machine only its origin matters
        thing = {part: thing[part] for part in ("apiVersion", "kind", "metadata")}
    return thing


def supervised(kind: str, look: Look) -> dict[str, list[Object]]:
    """What the guards judge: a kubeadm control plane is none of ours, only the workers of its lab count."""
    if kind == "talos":
        return look.objects
    return {path: [each for each in found if not of_control_plane(each)] for path, found in look.objects.items()}


def write(kind: str, moments: dict[str, Look]) -> Path:
    objects: dict[str, dict[str, Object]] = {path: {} for path in KINDS[kind]}
    seen = {moment: supervised(kind, look) for moment, look in moments.items()}
    for look in seen.values():
        for path, found in look.items():
            objects[path] |= {key(each): cleaned(each) for each in found}
    document = {
        "recorded": {
            "lab": kind,
            "by": f"scripts/cluster record {kind}",
            "versions": {program: pins()[pin] for program, pin in PROGRAMS.items()},
        },
        "moments": {
            moment: {"at": moments[moment].at, "seen": {path: list(map(key, found)) for path, found in look.items()}}
            for moment, look in seen.items()
        },
        "objects": objects,
    }
    TARGET.mkdir(parents=True, exist_ok=True)
    target = TARGET / f"{kind}.json"
    target.write_text(json.dumps(document, separators=(",", ":")) + "\n")
    return target
