"""What a submitter may still set where Argo accepts references only (`templateReferencing: Strict`), and `argo retry`.

entrypoint, arguments, activeDeadlineSeconds: none of it leads around a check, for every step begins with them itself.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cluster.management import HOOK, Management, Object, Run, is_ready, labs, roll, wait_for

pytestmark = pytest.mark.cluster("capi")

NAME = "strict"
LABS = (("kubeadm", NAME),)
WORKERS = f"cluster.x-k8s.io/deployment-name={NAME}-workers"
DEPLOYMENT = ("machinedeployments", f"{NAME}-workers")
CONFIG = ("configmap", "workflow-controller-configmap")
STRICT = "templateReferencing: Strict\n"
TEMPLATE = "capi-rollout-orchestrator"
PAUSED = "cluster.x-k8s.io/paused"


@pytest.fixture(scope="module")
def strict(management: Management) -> Iterator[None]:
    """The controller reads its configuration again when it changes: in force once a Workflow of its own is refused."""
    management.patch(*CONFIG, {"data": {"workflowRestrictions": STRICT}}, "argo")
    try:
        wait_for("templateReferencing: Strict", lambda: "must use workflowTemplateRef" in own_templates(management), 60)
        yield
    finally:
        management.patch(*CONFIG, {"data": {"workflowRestrictions": None}}, "argo")


@pytest.fixture(scope="module")
def lab(management: Management, strict: None) -> Iterator[str]:
    """A kubeadm lab that is settled: scope workers needs no TalosControlPlane."""
    with labs(management, *LABS):
        yield NAME


def own_templates(management: Management) -> str:
    """What becomes of a Workflow that brings its own templates."""
    run = create(management, {"entrypoint": "any", "templates": [{"name": "any", "suspend": {"duration": "1s"}}]})
    wait_for(f"the end of {run.name}", lambda: run.phase in ("Succeeded", "Failed", "Error"), 30)
    return run.message


def create(management: Management, spec: Object) -> Run:
    body = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "strict-", "namespace": "argo"},
        "spec": spec,
    }
    made = json.loads(management.kubectl("create", "-o", "json", "-f", "-", stdin=json.dumps(body)))
    return Run(management, made["metadata"]["name"])


def started(management: Management, arguments: dict[str, str] | None = None, **spec: Any) -> Run:
    """A run on the lab's workers, with more in its spec than our command line would put there."""
    given = {"clusterName": NAME, "scope": "workers", "pollInterval": "5s"} | (arguments or {})
    rows = [{"name": name, "value": value} for name, value in given.items()]
    reference = {"workflowTemplateRef": {"name": TEMPLATE}, "arguments": {"parameters": rows}}
    return create(management, reference | spec)


def machines(management: Management) -> dict[str, bool]:
    """UID -> whether it is untouched: there, Ready, not deleting."""
    found = management.list("machines", labels=f"cluster.x-k8s.io/cluster-name={NAME}")
    return {m["metadata"]["uid"]: is_ready(m) and "deletionTimestamp" not in m["metadata"] for m in found}


@pytest.fixture
def untouched(management: Management, lab: str) -> Iterator[None]:
    """The same machines before and after."""
    before = machines(management)
    assert all(before.values()), before
    yield
    assert machines(management) == before


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("template", "phase", "exit_code"),
    [
        ("preflight", "Succeeded", 0),
        ("control-plane", "Succeeded", 0),  # not in scope: nothing to do
        ("workers", "Succeeded", 0),
        ("not-terminated", "Failed", 1),  # no step: the outcome is not established
        ("report", "Failed", 1),
    ],
)
def test_every_template_is_safe_as_an_entrypoint(
    management: Management, template: str, phase: str, exit_code: int
) -> None:
    run = started(management, entrypoint=template).ended()
    assert (run.phase, run.exit) == (phase, exit_code), run.message


@pytest.fixture
def paused_roll(management: Management, lab: str) -> Iterator[None]:
    """Something is outdated, and must not be waited for: preflight refuses it."""
    old = management.get(*DEPLOYMENT)["spec"]["template"]["spec"]["version"]
    management.patch(*DEPLOYMENT, {"metadata": {"annotations": {PAUSED: "true"}}})
    roll(management, NAME, "v1.35.9", control_plane=False)
    yield
    roll(management, NAME, old, control_plane=False)
    management.patch(*DEPLOYMENT, {"metadata": {"annotations": {PAUSED: None}}})


@pytest.mark.usefixtures("untouched", "paused_roll")
def test_an_entrypoint_behind_preflight_refuses_what_preflight_would(management: Management) -> None:
    run = started(management, entrypoint="workers").ended()
    said = run.nodes("report")[-1]["message"]  # the run itself says Argo's own words when its entrypoint is a step
    assert (run.phase, said.startswith("main: Error (exit code 3): refused: ")) == ("Failed", True), said
    assert "paused" in said


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("seconds", "right"),
    [
        (10**9, lambda run: (run.phase, run.exit) == ("Succeeded", 0)),
        (1, lambda run: run.phase in ("Failed", "Error")),  # never told as done
    ],
    ids=["huge", "tiny"],
)
def test_another_deadline_changes_no_verdict(
    management: Management, seconds: int, right: Callable[[Run], bool]
) -> None:
    run = started(management, activeDeadlineSeconds=seconds).ended()
    assert right(run), (run.phase, run.message)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "spec",
    [
        {"serviceAccountName": "capi-rollout-remediator"},
        {"podSpecPatch": '{"hostNetwork": true}'},
        {"hostNetwork": True},
        {"synchronization": {"mutexes": [{"name": "another"}]}},
        {"hooks": {"exit": {"template": "not-terminated"}}},
    ],
    ids=lambda spec: next(iter(spec)),
)
def test_what_would_lead_around_the_fence_is_not_accepted(management: Management, spec: Object) -> None:
    run = started(management, **spec).ended()
    assert run.phase == "Error", run.message
    assert not run.workflow()["status"].get("nodes"), "no pod was ever made"


# argo retry


def retried(management: Management, run: Run) -> Run:
    management.run("argo", "retry", "-n", "argo", run.name)
    wait_for(f"{run.name} to start again", lambda: run.phase in ("", "Pending", "Running"), 30, 0.5)
    return run.ended()


@pytest.mark.usefixtures("untouched", "paused_roll")
def test_a_refused_run_refuses_again(management: Management) -> None:
    run = started(management).ended()
    assert (run.phase, run.exit) == ("Failed", 3), run.message
    assert (retried(management, run).phase, run.exit) == ("Failed", 3), run.message


def hook(management: Management, value: str | None) -> None:
    for machine in management.list("machines", labels=WORKERS):
        management.patch("machines", machine["metadata"]["name"], {"metadata": {"annotations": {HOOK: value}}})


def test_a_run_that_is_retried_after_another_one_has_gone_on(management: Management, lab: str) -> None:
    """It timed out; a later run brought the next generation to its end; then somebody retries the first one."""
    hook(management, "")
    roll(management, NAME, "v1.35.1", control_plane=False)
    first = started(management, {"workersTimeout": "45s"}).ended()
    assert (first.phase, first.exit) == ("Failed", 4), first.message
    hook(management, None)
    roll(management, NAME, "v1.35.2", control_plane=False)
    second = started(management, {"acknowledge": "true"}).ended(400)
    assert (second.phase, second.exit) == ("Succeeded", 0), second.message
    before = machines(management)
    assert all(before.values()), before
    assert retried(management, first).exit == 4, first.message  # Argo runs the report alone again
    assert machines(management) == before, "what the later run has done stays done"
