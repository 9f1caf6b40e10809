"""A MachineDeployment of a kubeadm cluster rolls alone: scope=workers needs no TalosControlPlane."""

import re
from collections.abc import Iterator

import pytest

from tests.cluster.management import Management, Recording, Run, is_ready, labs, recording, roll

pytestmark = pytest.mark.cluster("capi")

NAME = "md-only"
LABS = (("kubeadm", NAME),)
Rolled = tuple[Run, Recording, set[str]]


@pytest.fixture(scope="module")
def lab(management: Management) -> Iterator[str]:
    with labs(management, *LABS):
        yield NAME


@pytest.fixture(scope="module")
def rolled(management: Management, lab: str) -> Rolled:
    """One run over a commit to the workers: the Workflow, what an own watch saw, the UIDs of the beginning."""
    with recording(management, lab) as seen:
        before = set(seen.machines)
        run = management.submit(lab, "--scope", "workers", "--poll-interval", "10s")
        roll(management, lab, "v1.35.1", control_plane=False)
        run.ended(300)
    return run, seen, before


def test_the_run_succeeds_when_the_last_worker_is_ready(rolled: Rolled) -> None:
    run, seen, _ = rolled
    assert (run.phase, run.exit) == ("Succeeded", 0), run.message
    assert run.output("workers", "summary") == "workers: all 3 machines are up to date, available and stable"
    assert len(seen.machines) == 6
    assert all(is_ready(machine) for machine in seen.machines.values())


def test_the_workers_are_new_and_the_control_plane_is_not(rolled: Rolled) -> None:
    run, seen, before = rolled
    kept = [seen.machines[uid]["metadata"]["labels"] for uid in before & set(seen.machines)]
    assert len(kept) == 3
    assert all("cluster.x-k8s.io/control-plane" in labels for labels in kept)
    assert {node["type"] for node in run.nodes("control-plane")} == {"Skipped"}


def test_one_worker_at_a_time(rolled: Rolled) -> None:
    _, seen, _ = rolled
    assert (1, 1) in seen.pairs["workers"]
    assert seen.worst("workers") == (1, 1), seen.pairs["workers"]
    assert seen.pairs["control-plane"] == [(0, 0)]


def test_the_progress_of_the_machines_is_the_progress_of_the_step(rolled: Rolled) -> None:
    run, _, _ = rolled
    pod = [node for node in run.nodes("workers") if node["type"] == "Pod"][-1]
    assert re.fullmatch(r"[0-3]/3", pod["progress"]), "what the step wrote to $ARGO_PROGRESS_FILE, not Argo's own 1/1"
