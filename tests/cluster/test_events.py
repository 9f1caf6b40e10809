"""What starts a run, on the real Argo Events: one TalosControlPlane generation, one Workflow, and nothing else any.

Every "none" ends with a change of a spec that starts exactly one run through the same live processes. They keep the
order, so whatever the changes before it would have started would be there too.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise

import pytest
import yaml

from ci.cluster import lab, lifecycle
from ci.cluster.settings import KUBECONFIG
from guards.naming import WORKFLOW_TEMPLATE, triggered_workflow
from tests.cluster.management import TALOS_LAB, Management, Object, Run, ready, wait_for
from tests.cluster.trigger import BACKSTOP, NAMESPACE, PLURAL, Trigger, alive, bus, strategy

pytestmark = pytest.mark.cluster("events")

NAME, CP, WORKERS = "trig", "trig-cp", "trig-workers"
PROBE = "probe-cp"
"""A TalosControlPlane without a Cluster, which no controller touches: its runs say so and end."""
PROBE_MANIFEST = f"""
apiVersion: controlplane.cluster.x-k8s.io/v1alpha3
kind: TalosControlPlane
metadata: {{name: {PROBE}, namespace: {NAMESPACE}, labels: {{cluster.x-k8s.io/cluster-name: probe}}}}
spec:
  replicas: 3
  version: v1.35.0
  rolloutStrategy: {{type: RollingUpdate, rollingUpdate: {{maxSurge: 0}}}}
  infrastructureTemplate: {{apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DevMachineTemplate, name: none}}
  controlPlaneConfig: {{controlplane: {{generateType: controlplane, talosVersion: v1.12}}}}
"""
HELD = "capi-rollout/test"
"""A finalizer of ours."""


@pytest.fixture(scope="module")
def trigger(management: Management, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trigger]:
    if management.kubeconfig != KUBECONFIG:
        pytest.skip("needs the NATS server that `scripts/cluster up events` starts")
    lifecycle.up("events", TALOS_LAB)
    with alive(management, tmp_path_factory.mktemp("trigger")) as found:
        yield found


@pytest.fixture(scope="module")
def cluster(trigger: Trigger) -> Iterator[Trigger]:
    """A lab that begins to boot; the first tests see it do so."""
    lab.create("talos", NAME, NAMESPACE)
    yield trigger
    lab.delete(NAME, NAMESPACE)


@pytest.fixture(scope="module")
def booted(cluster: Trigger) -> Trigger:
    ready(cluster.management, ("talos", NAME), NAMESPACE)
    return cluster


@pytest.fixture(scope="module")
def probe(trigger: Trigger) -> Iterator[Trigger]:
    create_probe(trigger)
    trigger.run(PROBE).ended()
    yield trigger
    trigger.management.kubectl("-n", NAMESPACE, "delete", PLURAL, PROBE, "--ignore-not-found")


def create_probe(trigger: Trigger) -> None:
    trigger.management.apply(PROBE_MANIFEST)


def test_a_new_control_plane_starts_one_run_that_has_nothing_to_watch_yet(cluster: Trigger) -> None:
    run = cluster.run(CP).ended()

    assert (run.exit, run.output("preflight", "decision")) == (0, "bootstrapping")
    assert cluster.runs(CP) == [run.name]


def test_it_runs_as_the_accounts_that_were_exported(probe: Trigger) -> None:
    for kind, account in (("eventsource", "capi-rollout-event-source"), ("sensor", "capi-rollout-sensor")):
        assert {pod["spec"]["serviceAccountName"] for pod in probe.pods(kind)} == {account}


def test_status_updates_start_none(probe: Trigger) -> None:
    before, published = probe.runs(PROBE), bus()[0]
    probe.changes(PROBE, [{"status": {"replicas": count}} for count in range(1, 51)], status=True)
    wait_for("fifty events on the bus", lambda: bus()[0] >= published + 50, 60)

    run = probe.change(PROBE)

    assert probe.runs(PROBE) == sorted([*before, run.name])


def test_a_restarted_event_source_announces_everything_again_and_starts_none(probe: Trigger) -> None:
    before, published = probe.runs(), bus()[0]
    old = {pod["metadata"]["name"] for pod in probe.pods("eventsource")}
    probe.management.kubectl("-n", "argo", "delete", "pod", *old)
    wait_for("the replay", lambda: bus()[0] > published, 90)

    run = probe.change(PROBE)

    assert not old & {pod["metadata"]["name"] for pod in probe.pods("eventsource")}
    assert probe.runs() == sorted([*before, run.name])


def test_the_backstop_finds_what_no_sensor_heard(probe: Trigger) -> None:
    pinned(probe)
    probe.apply("cron-workflow-capi-rollout.yaml")
    probe.management.run("argo", "cron", "suspend", "-n", "argo", BACKSTOP)  # its hour could strike in between
    probe.scale("sensor", 0)
    before = probe.runs()
    probe.management.patch(PLURAL, PROBE, flipped(probe), NAMESPACE)
    assert probe.runs() == before

    told = round_of_the_backstop(probe)
    found = probe.run(PROBE)
    assert told.endswith(f"started {found.name}")
    assert probe.runs() == sorted([*before, found.name])
    assert round_of_the_backstop(probe).startswith("nothing to start: ")
    probe.scale("sensor", 1)
    run = probe.change(PROBE)

    assert probe.runs() == sorted([*before, found.name, run.name]), "the Sensor heard of it late, and it existed"
    assert arguments(found) == {**arguments(run), "tcpGeneration": found.name.rsplit("-g", 1)[-1]}


def flipped(trigger: Trigger) -> Object:
    return strategy(1 - trigger.control_plane(PROBE)["spec"]["rolloutStrategy"]["rollingUpdate"]["maxSurge"])


def pinned(trigger: Trigger) -> None:
    """The backstop's WorkflowTemplate with the image of this tree; other tests run the other template meanwhile."""
    built = trigger.management.built(trigger.folder / "overlay/management/argo-workflows")
    own = [one for one in yaml.safe_load_all(built) if one["metadata"]["name"] != WORKFLOW_TEMPLATE]
    trigger.management.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": own}))


def round_of_the_backstop(trigger: Trigger) -> str:
    """What the schedule would do, now; what it says."""
    name = trigger.management.run(
        "argo", "submit", "-n", "argo", "--from", f"cronwf/{BACKSTOP}", "-o", "name"
    ).stdout.strip()
    run = Run(trigger.management, name).ended(120)
    assert run.phase == "Succeeded", run.message
    return run.output("backstop", "summary")


def arguments(run: Run) -> dict[str, str]:
    return {row["name"]: row["value"] for row in run.workflow()["spec"]["arguments"]["parameters"]}


def test_a_deletion_starts_none_and_the_next_of_that_name_its_own(probe: Trigger) -> None:
    before = probe.runs()
    old = probe.control_plane(PROBE)["metadata"]["uid"]
    probe.management.patch(PLURAL, PROBE, {"metadata": {"finalizers": [HELD]}}, NAMESPACE)
    probe.management.kubectl("-n", NAMESPACE, "delete", PLURAL, PROBE, "--wait=false")
    probe.management.patch(PLURAL, PROBE, {"metadata": {"finalizers": None}}, NAMESPACE)
    create_probe(probe)

    first = probe.run(PROBE)
    second = probe.change(PROBE)

    new = probe.control_plane(PROBE)["metadata"]["uid"]
    assert new != old
    assert first.name == triggered_workflow(PROBE, new, 1)
    assert probe.runs() == sorted([*before, first.name, second.name])


def test_twenty_changes_in_a_second_are_supervised_one_by_one(booted: Trigger) -> None:
    before = booted.runs(CP)
    first = booted.control_plane(CP)["metadata"]["generation"]
    booted.changes(CP, [strategy((count + 1) % 2) for count in range(20)])
    metadata = booted.control_plane(CP)["metadata"]
    assert metadata["generation"] == first + 20
    last = booted.run(CP).ended(900)

    names = [name for name in booted.runs(CP) if name not in before]
    possible = {triggered_workflow(CP, metadata["uid"], first + count) for count in range(1, 21)}
    assert set(names) <= possible
    runs = sorted((Run(booted.management, name).ended(900) for name in names), key=started)
    for one, following in pairwise(runs):
        assert finished(one) <= started(following), f"{one.name} and {following.name} ran at the same time"
    for run in runs:
        decision = "converged" if run.name == last.name else "superseded"
        assert (run.exit, run.output("preflight", "decision")) == (0, decision), run.name
        (preflight,) = [node for node in run.nodes("preflight") if node["type"] == "Pod"]
        assert seconds(preflight) <= 15


def started(run: Run) -> str:
    """When its first step began: a run that waits for the lock has none."""
    return str(min(node["startedAt"] for node in run.nodes("preflight")))


def finished(run: Run) -> str:
    return str(max(node["finishedAt"] for node in run.nodes("report")))


def seconds(node: Object) -> float:
    began, ended = (datetime.fromisoformat(node[key]) for key in ("startedAt", "finishedAt"))
    return (ended - began).total_seconds()


def test_workers_alone_start_none(booted: Trigger) -> None:
    before = booted.runs(CP)
    change = {"spec": {"template": {"spec": {"version": "v1.35.1"}}}}
    booted.management.patch("machinedeployments", WORKERS, change, NAMESPACE)
    wait_for("three new workers", lambda: rolled(booted, "v1.35.1"), 300, 2)

    there, back = booted.change(CP), booted.change(CP)

    assert booted.runs(CP) == sorted([*before, there.name, back.name])
    back.ended()


def rolled(trigger: Trigger, version: str) -> bool:
    labels = f"cluster.x-k8s.io/deployment-name={WORKERS}"
    machines = trigger.management.list("machines", NAMESPACE, labels)
    return [machine["spec"]["version"] for machine in machines] == [version] * 3


def test_one_commit_of_both_is_one_run_control_plane_first(booted: Trigger) -> None:
    """In the order of the waves: TalosConfigTemplate, MachineDeployment, TalosControlPlane."""
    ready(booted.management, ("talos", NAME), NAMESPACE)
    before = booted.runs(CP)
    template = booted.management.get("talosconfigtemplates", f"{WORKERS}-1", NAMESPACE)
    name = f"{WORKERS}-2"
    booted.management.apply(json.dumps({**template, "metadata": {"name": name, "namespace": NAMESPACE}}))
    reference = {"bootstrap": {"configRef": {"name": name}}}
    change = {"spec": {"template": {"spec": {"version": "v1.35.2", **reference}}}}
    booted.management.patch("machinedeployments", WORKERS, change, NAMESPACE)
    booted.management.patch(PLURAL, CP, {"spec": {"version": "v1.35.2"}}, NAMESPACE)

    run = booted.run(CP).ended(600)

    assert (run.exit, run.output("preflight", "decision")) == (0, "roll")
    assert booted.runs(CP) == sorted([*before, run.name])
    ended, began = (
        [node[key] for node in run.nodes(step)]
        for step, key in (("control-plane", "finishedAt"), ("workers", "startedAt"))
    )
    assert max(ended) <= min(began)
    assert rolled(booted, "v1.35.2")
