"""Every refusal and every early end, against real objects: before any waiting, with its own code."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cluster.management import Management, Object, ready, started, wait_for
from tests.cluster.test_access import as_token

pytestmark = pytest.mark.cluster("capi")

NAME = "a-refuse"
PAUSED = "cluster.x-k8s.io/paused"
TCP, MD = ("taloscontrolplanes", f"{NAME}-cp"), ("machinedeployments", f"{NAME}-workers")
CLUSTER = ("clusters", NAME)
WORKERS = f"cluster.x-k8s.io/deployment-name={NAME}-workers"


@pytest.fixture(scope="module")
def lab(management: Management) -> Iterator[str]:
    """A settled Talos lab. It is paused as a whole while a refusal is looked at, so that nothing really rolls."""
    with started(("talos", NAME)):  # not in LABS: its control plane must have just been created
        wait_for("bootstrapping", lambda: "bootstrapping" in ask(management)[1], 30, 0.5)
        ready(management, ("talos", NAME))
        yield NAME


def ask(management: Management, *flags: str) -> tuple[int, str]:
    """Code and output of preflight from this shell."""
    done = management.guards("preflight", "--cluster-name", NAME, *flags)
    return done.returncode, done.stdout


@contextmanager
def frozen(management: Management) -> Iterator[None]:
    """Everything paused by annotation: the controllers look away, the API server's own rules still hold."""
    objects = [TCP, MD]
    for kind, name in objects:
        management.patch(kind, name, {"metadata": {"annotations": {PAUSED: "true"}}})
    try:
        yield
    finally:
        for kind, name in objects:
            management.patch(kind, name, {"metadata": {"annotations": {PAUSED: None}}})


@contextmanager
def changed(management: Management, target: tuple[str, str], change: Object, back: Object) -> Iterator[None]:
    management.patch(*target, change)
    try:
        yield
    finally:
        management.patch(*target, back)


@contextmanager
def outdated(management: Management) -> Iterator[None]:
    """Both pools want a newer version, and nothing rolls."""
    with frozen(management), changed(management, TCP, NEWER, OLDER), changed(management, MD, MD_NEWER, MD_OLDER):
        yield


def surge(value: Any) -> Object:
    return {"spec": {"rolloutStrategy": {"rollingUpdate": {"maxSurge": value}}}}


def md_strategy(**fields: Any) -> Object:
    return {"spec": {"rollout": {"strategy": {"rollingUpdate": fields}}}}


NEWER = {"spec": {"version": "v1.35.9"}}
OLDER = {"spec": {"version": "v1.35.0"}}
MD_NEWER = {"spec": {"template": {"spec": {"version": "v1.35.9"}}}}
MD_OLDER = {"spec": {"template": {"spec": {"version": "v1.35.0"}}}}

CASES: dict[str, tuple[tuple[str, str], Object, Object, str]] = {
    "cp-surge-1": (TCP, surge(1), surge(0), "maxSurge is 1, must be 0"),
    "cp-surge-absent": (TCP, surge(None), surge(0), "maxSurge is"),
    "cp-surge-percent": (TCP, surge("0%"), surge(0), "maxSurge is '0%', must be 0"),
    "cp-ondelete": (
        TCP,
        {"spec": {"rolloutStrategy": {"type": "OnDelete"}}},
        {"spec": {"rolloutStrategy": {"type": "RollingUpdate"}}},
        "rollout strategy is OnDelete",
    ),
    "cp-of-1": (
        TCP,
        {"spec": {"replicas": 1}},
        {"spec": {"replicas": 3}},
        "replicas is 1, must be 3 or more: with maxSurge 0 it never progresses",
    ),
    "cp-of-2": (TCP, {"spec": {"replicas": 2}}, {"spec": {"replicas": 3}}, "--allow-two-control-planes"),
    "md-surge-absent": (MD, md_strategy(maxSurge=None), md_strategy(maxSurge=0), "maxSurge is"),
    "md-ondelete": (
        MD,
        {"spec": {"rollout": {"strategy": {"type": "OnDelete", "rollingUpdate": None}}}},
        {
            "spec": {
                "rollout": {
                    "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
                }
            }
        },
        f"{NAME}-workers: rollout strategy is OnDelete",
    ),
    "md-surge-1": (MD, md_strategy(maxSurge=1), md_strategy(maxSurge=0), "maxSurge is 1 = 1 of 3, must be 0"),
    "md-unavailable-67%": (
        MD,
        md_strategy(maxUnavailable="67%"),
        md_strategy(maxUnavailable=1),
        "maxUnavailable is '67%' = 2 of 3, must be 1",
    ),
    "held": (
        CLUSTER,
        {"metadata": {"annotations": {"capi-rollout/hold": "disk swap"}}},
        {"metadata": {"annotations": {"capi-rollout/hold": None}}},
        "annotation capi-rollout/hold says 'disk swap'",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_configuration_that_is_refused(management: Management, lab: str, case: str) -> None:
    target, change, back, sentence = CASES[case]
    with outdated(management), changed(management, target, change, back):
        code, said = ask(management)
    assert code == 3
    assert sentence in said
    assert "refused: " in said


@pytest.mark.parametrize(
    ("target", "change", "back"),
    [
        (CLUSTER, {"spec": {"paused": True}}, {"spec": {"paused": False}}),
        (TCP, {"metadata": {"annotations": {PAUSED: "true"}}}, {"metadata": {"annotations": {PAUSED: None}}}),
        (MD, {"spec": {"paused": True}}, {"spec": {"paused": False}}),
    ],
    ids=["cluster-spec", "control-plane-annotation", "deployment-spec"],
)
def test_whatever_is_paused_is_named(
    management: Management, lab: str, target: tuple[str, str], change: Object, back: Object
) -> None:
    with changed(management, target, change, back):
        which = TCP if target != MD else MD
        newer, older = (NEWER, OLDER) if which == TCP else (MD_NEWER, MD_OLDER)
        with changed(management, which, newer, older):
            code, said = ask(management)
    assert code == 3
    assert f" {target[1]} is paused, must not be" in said


@pytest.mark.parametrize("kind", ["machines", "machinesets"])
def test_a_paused_part_of_a_pool_is_named(management: Management, lab: str, kind: str) -> None:
    name = management.list(kind, labels=WORKERS)[0]["metadata"]["name"]
    pause = {"metadata": {"annotations": {PAUSED: "true"}}}
    free = {"metadata": {"annotations": {PAUSED: None}}}
    with outdated(management), changed(management, (kind, name), pause, free):
        code, said = ask(management)
    assert code == 3
    assert f" {name} is paused, must not be" in said


def test_two_outdated_deployments_would_roll_in_parallel(management: Management, lab: str) -> None:
    """The second one is paused from its first moment on: it never gets a MachineSet."""
    copy = management.get(*MD)
    copy["metadata"] = {"name": f"{NAME}-more", "namespace": "default", "annotations": {PAUSED: "true"}}
    copy["spec"]["replicas"] = 0
    del copy["status"], copy["spec"]["selector"], copy["spec"]["template"]["metadata"]
    management.kubectl("create", "-f", "-", stdin=json.dumps(copy))
    try:
        with outdated(management):
            code, said = ask(management)
    finally:
        more = ("machinedeployments", f"{NAME}-more")
        management.patch(*more, {"metadata": {"finalizers": None}})  # paused: its controller would never let it go
        management.kubectl("delete", *more)
    assert code == 3
    assert f"2 MachineDeployments are outdated ({NAME}-more, {NAME}-workers)" in said


def test_machines_of_a_kind_that_is_not_served_are_78(management: Management, lab: str) -> None:
    there = management.get(*TCP)["spec"]["infrastructureTemplate"]["kind"]
    other, back = ({"spec": {"infrastructureTemplate": {"kind": kind}}} for kind in ("NowhereMachineTemplate", there))
    with frozen(management), changed(management, TCP, other, back):
        code, said = ask(management)
    assert (code, "not served: " in said) == (78, True)


def test_both_scopes_with_one_budget(management: Management, lab: str) -> None:
    with outdated(management):
        code, said = ask(management, "--budget-scope", "cluster")
    assert (code, "[shared-budget]" in said) == (3, True)


def test_scaling_is_cluster_apis_own_work(management: Management, lab: str) -> None:
    with frozen(management), changed(management, TCP, {"spec": {"replicas": 5}}, {"spec": {"replicas": 3}}):
        code, said = ask(management)
    assert (code, "scaling: " in said) == (0, True)


def test_a_real_scale_up_is_no_breach_and_not_unhealthy(management: Management, lab: str) -> None:
    """New machines that are still starting are Cluster API's own work too."""
    with changed(management, MD, {"spec": {"replicas": 5}}, {"spec": {"replicas": 3}}):
        wait_for("two more machines", lambda: len(management.list("machines", labels=WORKERS)) == 5, 30, 0.2)
        told = [ask(management)]
        while not told[-1][1].count("stable") and len(told) < 100:
            told.append(ask(management))
    wait_for("three workers", lambda: "converged" in ask(management)[1], 120, 3)
    assert [said for code, said in told if code] == []


def test_converged_at_the_first_look_within_15_seconds(management: Management, lab: str) -> None:
    began = time.monotonic()
    code, said = ask(management)
    assert (code, "converged: " in said) == (0, True)
    assert time.monotonic() - began < 15


OLD_ENOUGH = ("--workers-timeout", "1s")
"""The lab's machines are minutes old: with this patience they count as started."""


def test_a_machine_down_without_a_roll_is_unhealthy(management: Management, lab: str) -> None:
    worker = management.list("machines", labels=WORKERS)[0]["metadata"]["name"]
    note = {"metadata": {"annotations": {"lab.talos/node": "not-ready"}}}
    with changed(management, ("machines", worker), note, {"metadata": {"annotations": {"lab.talos/node": None}}}):
        said = wait_for("unhealthy", lambda: (s := ask(management, *OLD_ENOUGH))[0] == 3 and s, 60, 1)
    assert "unhealthy: " in said[1]
    assert worker in said[1]
    wait_for("the node to be well again", lambda: "converged" in ask(management)[1], 90, 3)


def test_an_unknown_cluster(management: Management) -> None:
    done = management.guards("preflight", "--cluster-name", "nowhere")
    assert done.returncode == 3
    assert "nowhere" in done.stdout


def test_another_contract_is_78(management: Management) -> None:
    assert management.guards("preflight", "--cluster-name", "x", "--contract", "0").returncode == 78


def test_bad_parameters_are_2(management: Management) -> None:
    done = management.workflows("submit", "--cluster", NAME, "--scope", "worker")
    assert done.returncode == 2
    assert "worker" in done.stderr


def test_submit_says_what_is_missing(management: Management) -> None:
    missing = management.workflows("submit", "--cluster", NAME, "-n", "default")
    assert missing.returncode != 0
    assert "capi-rollout-orchestrator" in missing.stderr
    assert "kubectl apply -k overlay/management/argo-workflows" in missing.stderr
    context = management.workflows("submit", "--cluster", NAME, "--context", "nope")
    assert context.returncode == 2
    assert "nope" in context.stderr


def test_the_server_accepts_what_submit_would_send(management: Management) -> None:
    done = management.workflows("submit", "--cluster", NAME, "--dry-run", "server", "-o", "name")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("workflow.argoproj.io/capi-")


@pytest.fixture
def less(management: Management) -> Iterator[str]:
    """Token of an account with the runner's rights but one: it may not watch what the runner may watch."""
    name = "capi-rollout-less"
    rules = management.get("role", "capi-rollout-runner")["rules"]
    less = [{**rule, "verbs": [verb for verb in rule["verbs"] if verb != "watch"]} for rule in rules]
    meta = {"name": name, "namespace": "default"}
    group = "rbac.authorization.k8s.io"
    objects: list[Object] = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": meta, "rules": less},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "default"}],
        },
    ]
    management.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    yield management.kubectl("create", "token", name).strip()
    management.kubectl("delete", "rolebinding,role,serviceaccount", name)


def test_a_missing_permission_is_77_and_every_one_is_named(management: Management, lab: str, less: str) -> None:
    code, said = ask(management, *as_token(management, less))
    assert code == 77
    assert "not permitted: " in said
    assert "watch machines.cluster.x-k8s.io in default" in said
    assert "watch taloscontrolplanes.controlplane.cluster.x-k8s.io in default" in said
    assert "kubectl apply -k overlay/management/capi-rollout" in said


def test_submit_without_the_right_to_is_77(management: Management, less: str) -> None:
    done = management.workflows("submit", "--cluster", NAME, *as_token(management, less))
    assert done.returncode == 77
    assert "not permitted: get workflowtemplates.argoproj.io in namespace argo" in done.stderr


def test_a_cluster_without_workers(management: Management, lab: str) -> None:
    """The last one: the lab's MachineDeployment is really deleted."""
    management.kubectl("delete", *MD)
    gone = f"cluster.x-k8s.io/cluster-name={NAME},!cluster.x-k8s.io/control-plane"
    wait_for("the workers to be gone", lambda: not management.list("machines", labels=gone), 90, 2)
    code, said = ask(management, "--scope", "workers")
    assert code == 3
    assert "has no MachineDeployment, scope workers needs one" in said
    assert "converged: " in ask(management)[1]
