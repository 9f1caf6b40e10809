"""Every refusal and every early end, against real objects: before any waiting, with its own code."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cluster.management import Labs, Management, Object, wait_for

pytestmark = pytest.mark.cluster("capi")

NAME = "refuse"
PAUSED = "cluster.x-k8s.io/paused"
TCP, MD = ("taloscontrolplanes", f"{NAME}-cp"), ("machinedeployments", f"{NAME}-workers")
CLUSTER = ("clusters", NAME)


@pytest.fixture(scope="module")
def lab(management: Management) -> Iterator[str]:
    """A settled Talos lab. It is paused as a whole while a refusal is looked at, so that nothing really rolls."""
    labs = Labs(management)
    labs.start("talos", NAME)
    wait_for("bootstrapping", lambda: "bootstrapping" in ask(management)[1], 30, 0.5)  # the TCP was just created
    labs.ready(NAME)
    yield NAME
    labs.delete_all()


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


def test_both_scopes_with_one_budget(management: Management, lab: str) -> None:
    with outdated(management):
        code, said = ask(management, "--budget-scope", "cluster")
    assert (code, "[shared-budget]" in said) == (3, True)


def test_scaling_is_cluster_apis_own_work(management: Management, lab: str) -> None:
    with frozen(management), changed(management, TCP, {"spec": {"replicas": 5}}, {"spec": {"replicas": 3}}):
        code, said = ask(management)
    assert (code, "scaling: " in said) == (0, True)


def test_converged_at_the_first_look_within_15_seconds(management: Management, lab: str) -> None:
    began = time.monotonic()
    code, said = ask(management)
    assert (code, "converged: " in said) == (0, True)
    print(f"converged after {time.monotonic() - began:.1f}s")


def test_a_machine_down_without_a_roll_is_unhealthy(management: Management, lab: str) -> None:
    worker = management.list("machines", labels=f"cluster.x-k8s.io/deployment-name={NAME}-workers")[0]["metadata"][
        "name"
    ]
    note = {"metadata": {"annotations": {"lab.talos/node": "not-ready"}}}
    with changed(management, ("machines", worker), note, {"metadata": {"annotations": {"lab.talos/node": None}}}):
        said = wait_for("unhealthy", lambda: (s := ask(management))[0] == 3 and s, 60, 1)
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


def test_a_missing_permission_is_77_before_any_waiting(management: Management, lab: str) -> None:
    """The runner's Role without one verb, for the length of one question."""
    role = management.get("role", "capi-rollout-runner")
    less = [
        {**rule, "verbs": [verb for verb in rule["verbs"] if verb != "watch"]}
        if "machines" in rule["resources"]
        else rule
        for rule in role["rules"]
    ]
    management.patch("role", "capi-rollout-runner", {"rules": less})
    try:
        run = management.submit(NAME).ended()
    finally:
        management.patch("role", "capi-rollout-runner", {"rules": role["rules"]})
    assert (run.phase, run.exit) == ("Failed", 77)
    assert "watch machines.cluster.x-k8s.io in default" in management.run_list(run.name)
