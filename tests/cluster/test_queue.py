"""One run per cluster at a time: the queue on Argo's mutex, what does not queue, and what is left out by scope."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.cluster.management import HOOK, SITE, Management, Run, labs, roll, wait_for

pytestmark = pytest.mark.cluster("capi")

HELD, OTHER = "a-kubeadm", "a-talos"
LABS = (("kubeadm", HELD), ("talos", OTHER))
WORKERS = f"cluster.x-k8s.io/deployment-name={HELD}-workers"


@pytest.fixture(scope="module", autouse=True)
def labs_of_this_module(management: Management) -> Iterator[None]:
    """Two clusters, side by side."""
    with labs(management, *LABS):
        try:
            yield
        finally:
            release(management)


def release(management: Management) -> None:
    for machine in management.list("machines", labels=WORKERS):
        if HOOK in machine["metadata"].get("annotations", {}):
            management.patch("machines", machine["metadata"]["name"], {"metadata": {"annotations": {HOOK: None}}})


@pytest.fixture(scope="module")
def first(management: Management) -> Run:
    """A run that holds the lock: its roll stands still, because the first worker's deletion is kept back."""
    for machine in management.list("machines", labels=WORKERS):
        management.patch("machines", machine["metadata"]["name"], {"metadata": {"annotations": {HOOK: ""}}})
    roll(management, HELD, "v1.35.1", control_plane=False)
    run = management.submit(HELD, "--scope", "workers")
    run.pod("workers")
    return run


@pytest.fixture(scope="module")
def second(management: Management, first: Run) -> Run:
    return management.submit(HELD, "--scope", "workers")


def test_the_second_run_waits_and_says_for_what(second: Run, first: Run) -> None:
    waiting = f"Waiting for capi-rollout/Mutex/default/{HELD} lock. Lock status: 0/1"
    wait_for("the second run's place in the queue", lambda: second.message == waiting, 30)
    assert second.phase == "Pending"
    holding = first.workflow()["status"]["synchronization"]["mutex"]["holding"]
    assert [row["holder"] for row in holding] == [f"argo/{first.name}"]


def test_shot_down_in_the_queue_is_never_told_as_done(management: Management, second: Run) -> None:
    """Argo calls it Succeeded: no step of it has failed. Our command line goes by the report, which never ran."""
    where = ("--site", str(SITE), "--cluster", HELD, "--cluster-namespace", "default")
    command = (sys.executable, "-m", "workflows", "submit", *where, "--scope", "workers", "--wait")
    known = {first["metadata"]["name"] for first in queued(management)}
    waiting = subprocess.Popen(command, env=management.environment, stderr=subprocess.PIPE, text=True)
    try:
        new = wait_for(
            "the third run", lambda: [n for w in queued(management) if (n := w["metadata"]["name"]) not in known]
        )
        run = Run(management, new[0])
        wait_for("its place in the queue", lambda: run.phase == "Pending", 30)
        management.run("argo", "terminate", "-n", "argo", run.name)
        _, told = waiting.communicate(timeout=60)
    finally:
        waiting.kill()
    assert waiting.returncode == 1, told
    assert "outcome not established" in told
    assert second.phase == "Pending", "the others keep their places"


def queued(management: Management) -> list[dict]:  # type: ignore[type-arg]
    return management.list("workflows", "argo", f"capi-rollout/cluster={HELD}")


@pytest.fixture(scope="module")
def other(management: Management) -> Run:
    """A run of another cluster, whose control plane rolls."""
    run = management.submit(OTHER, "--scope", "control-plane", "--poll-interval", "10s")
    roll(management, OTHER, "v1.35.1", workers=False)
    return run


def test_another_cluster_does_not_wait_for_them(first: Run, second: Run, other: Run) -> None:
    other.pod("control-plane")
    assert (first.phase, second.phase, other.phase) == ("Running", "Pending", "Running")


def test_when_the_first_is_done_the_second_finds_nothing_to_do(management: Management, first: Run, second: Run) -> None:
    release(management)
    assert first.ended(300).exit == 0
    assert second.ended(120).exit == 0
    assert second.output("preflight", "decision") == "converged"
    assert second.workflow()["status"]["startedAt"] >= first.workflow()["status"]["finishedAt"]


def test_each_scope_leaves_the_other_step_out_of_a_real_roll(first: Run, other: Run) -> None:
    assert other.ended(300).exit == 0
    for run, rolled, left_out in ((first, "workers", "control-plane"), (other, "control-plane", "workers")):
        assert run.output("preflight", "decision") == "roll"
        assert {node["phase"] for node in run.nodes(rolled)} == {"Succeeded"}
        assert {node["type"] for node in run.nodes(left_out)} == {"Skipped"}
