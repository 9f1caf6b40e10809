"""The trigger as it is exported, alive: the controller of Argo Events runs the unedited files with their RBAC."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client, config

from ci.cluster.events import MONITOR
from guards.naming import triggered_workflow
from tests.cluster.management import SITE, Management, Object, Run, wait_for
from workflows.export import export
from workflows.site import Site, load

NAMESPACE = "trigger"
"""Of the clusters: other tests' labs are not watched."""
GROUP, VERSION, PLURAL = "controlplane.cluster.x-k8s.io", "v1alpha3", "taloscontrolplanes"
BACKSTOP = "capi-rollout-backstop"


@dataclass(frozen=True)
class Trigger:
    """EventSource, Sensor and backstop of one site."""

    management: Management
    folder: Path

    def apply(self, file: str, overlay: str = "capi-rollout") -> None:
        self.management.apply((self.folder / "overlay/management" / overlay / file).read_text())

    def control_plane(self, name: str) -> Object:
        return self.management.get(PLURAL, name, NAMESPACE)

    def run(self, name: str) -> Run:
        """The run of the live generation; waits until it is there."""
        metadata = self.control_plane(name)["metadata"]
        wanted = triggered_workflow(name, metadata["uid"], metadata["generation"])
        wait_for(f"the Workflow {wanted}", lambda: wanted in self.runs(), 90, 0.5)
        return Run(self.management, wanted)

    def runs(self, *names: str) -> list[str]:
        """Names of all Workflows of these control planes, of whatever uid; of every one here without names."""
        prefixes = tuple(f"capi-{name[:30]}-" for name in names) or ("capi-",)
        found = [each["metadata"]["name"] for each in self.management.list("workflows", "argo") if _is_here(each)]
        return sorted(each for each in found if each.startswith(prefixes))

    def change(self, name: str) -> Run:
        """One change of the spec that makes no machine outdated; its run, which must be a new one."""
        before = self.runs()
        surge = self.control_plane(name)["spec"]["rolloutStrategy"]["rollingUpdate"]["maxSurge"]
        self.management.patch(PLURAL, name, strategy(1 - surge), NAMESPACE)
        run = self.run(name)
        assert run.name not in before
        return run

    def changes(self, name: str, bodies: list[Object], status: bool = False) -> None:
        """Patches of one object, as fast as one connection takes them."""
        with config.new_client_from_config(str(self.management.kubeconfig)) as connection:
            api = client.CustomObjectsApi(connection)
            patch = api.patch_namespaced_custom_object_status if status else api.patch_namespaced_custom_object
            for body in bodies:
                patch(GROUP, VERSION, NAMESPACE, PLURAL, name, body, _content_type="application/merge-patch+json")

    def deployment(self, kind: str) -> str:
        """Name of the Deployment that Argo Events made for our eventsource or sensor."""
        labels = f"{kind}-name=capi-rollout"
        return str(
            wait_for(
                f"the Deployment of the {kind}",
                lambda: [each["metadata"]["name"] for each in self.management.list("deployments", "argo", labels)],
                120,
            )[0]
        )

    def pods(self, kind: str) -> list[Object]:
        return self.management.list("pods", "argo", f"{kind}-name=capi-rollout")

    def rolled_out(self, kind: str) -> None:
        where = ("-n", "argo", "rollout", "status", f"deployment/{self.deployment(kind)}", "--timeout=120s")
        self.management.kubectl(*where)

    def scale(self, kind: str, replicas: int) -> None:
        self.management.kubectl("-n", "argo", "scale", f"deployment/{self.deployment(kind)}", f"--replicas={replicas}")
        wait_for(f"{replicas} pods of the {kind}", lambda: len(self.pods(kind)) == replicas, 90)
        self.rolled_out(kind)


def _is_here(workflow: Object) -> bool:
    """It is about a Cluster in our namespace: other tests have runs of their own."""
    rows = workflow["spec"].get("arguments", {}).get("parameters", [])
    return any(row["name"] == "clusterNamespace" and row.get("value") == NAMESPACE for row in rows)


def strategy(max_surge: int) -> Object:
    return {"spec": {"rolloutStrategy": {"rollingUpdate": {"maxSurge": max_surge}}}}


def bus() -> tuple[int, int]:
    """(messages ever, consumers) of the stream of the EventBus; Argo Events has others for its own notes."""
    with urllib.request.urlopen(f"http://127.0.0.1:{MONITOR}/jsz?streams=true") as answer:
        accounts: list[Any] = json.load(answer).get("account_details") or []
    streams = [stream for account in accounts for stream in account.get("stream_detail") or []]
    states = [stream["state"] for stream in streams if stream["name"] == "default"]
    return sum(state["last_seq"] for state in states), sum(state["consumer_count"] for state in states)


def site() -> Site:
    """The site of the tests, with its clusters in a namespace of their own and the backstop."""
    document = load(SITE).model_dump(by_alias=True)
    document["clusters"][0]["namespace"] = NAMESPACE
    document["backstop"] = True
    document["remediation"]["enabled"] = True  # other exports to this namespace have it: the Roles are the same objects
    return Site.model_validate(document)


@contextmanager
def alive(management: Management, folder: Path) -> Iterator[Trigger]:
    """Permissions, then the Sensor; when it has subscribed the EventSource, as the waves of Argo CD have it."""
    export(site(), folder)
    trigger = Trigger(management, folder)
    management.apply(f"{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}")
    trigger.apply("rbac.yaml")
    try:
        trigger.apply("sensor-capi-rollout.yaml")
        trigger.rolled_out("sensor")
        wait_for("the Sensor's subscription", lambda: bus()[1] >= 1, 90)
        trigger.apply("event-source-capi-rollout.yaml")
        trigger.rolled_out("eventsource")
        yield trigger
    finally:
        for kind in ("eventsource", "sensor", "cronworkflow"):
            management.kubectl("-n", "argo", "delete", kind, "-l", "app.kubernetes.io/part-of=capi-rollout")
        with suppress(AssertionError):  # a finalizer of a lab that is still there must not hide what failed
            management.kubectl("delete", "namespace", NAMESPACE, "--timeout=120s")
