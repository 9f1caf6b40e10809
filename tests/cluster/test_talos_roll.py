"""A combined commit on a Talos cluster: the real providers roll, the exported template supervises, in real pods."""

import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from tests.cluster.management import (
    Management,
    Object,
    Recording,
    Run,
    follow,
    is_ready,
    newer,
    recording,
    roll,
    wait_for,
)
from tests.cluster.remediating import settle

pytestmark = pytest.mark.cluster("capi")


@dataclass(frozen=True)
class Rolled:
    """A run over the whole of `lab`, what an own watch saw, the log of the first step; a second run afterwards."""

    lab: str
    run: Run
    seen: Recording
    log: str
    second: Run


def commit_to_both(management: Management, lab: str) -> Rolled:
    """One run with scope=all over a commit to both pools; when nothing changes any more, another one."""
    with tempfile.TemporaryDirectory() as folder, recording(management, lab) as seen:
        log = Path(folder) / "control-plane.log"
        run = management.submit(lab, "--poll-interval", "10s")
        roll(management, lab, newer(management, lab))
        with follow(management, run, "control-plane", log):
            run.ended(420)
        told = log.read_text()
    settle(management, lab)
    return Rolled(lab, run, seen, told, management.submit(lab).ended())


@pytest.mark.plays.with_args(commit_to_both)
def test_the_run_succeeds_when_the_last_machine_is_stable(played: Rolled) -> None:
    assert (played.run.phase, played.run.exit) == ("Succeeded", 0)
    assert all(is_ready(machine) for machine in played.seen.machines.values())
    assert played.run.output("preflight", "decision") == "roll"


@pytest.mark.plays.with_args(commit_to_both)
def test_all_six_machines_were_replaced(played: Rolled) -> None:
    assert len(played.seen.seen) == 12, "six old UIDs, six new ones"
    assert len(played.seen.machines) == 6


@pytest.mark.plays.with_args(commit_to_both)
@pytest.mark.parametrize("scope", ["control-plane", "workers"])
def test_never_more_than_one_at_a_time(played: Rolled, scope: str) -> None:
    pairs = played.seen.pairs[scope]
    assert (1, 1) in pairs
    assert played.seen.worst(scope) == (1, 1), pairs


@pytest.mark.plays.with_args(commit_to_both)
def test_the_workers_are_waited_for_after_the_control_plane(played: Rolled) -> None:
    ended = max(node["finishedAt"] for node in played.run.nodes("control-plane"))
    began = min(node["startedAt"] for node in played.run.nodes("workers"))
    assert ended <= began


@pytest.mark.plays.with_args(commit_to_both)
def test_the_log_tells_both_counts_with_names_once_a_change(played: Rolled) -> None:
    lines = [line for line in played.log.splitlines() if not line.startswith("time=")]
    name = f"{played.lab}-cp-"
    assert "only watches" in lines[0]
    assert any(
        f"control-plane: 2/3 available, deleting 1 ({name}" in line and f"notReady 1 ({name}" in line for line in lines
    )
    told = [line.split(" ", 1)[1] for line in lines]
    assert all(before != after for before, after in pairwise(told)), "one line a change, not a poll"


@pytest.mark.plays.with_args(commit_to_both)
def test_a_second_run_has_nothing_to_do(played: Rolled) -> None:
    run = played.second
    assert (run.phase, run.output("preflight", "decision")) == ("Succeeded", "converged")
    assert {node["type"] for step in ("control-plane", "workers") for node in run.nodes(step)} == {"Skipped"}


def attempts(run: Run) -> list[Object]:
    """The pods of the workers step, the first one first."""
    return sorted((n for n in run.nodes("workers") if n["type"] == "Pod"), key=lambda node: str(node["startedAt"]))


def pod_deleted(management: Management, lab: str) -> tuple[Run, Recording]:
    """A run whose step loses its pod while the first worker is being replaced."""
    with recording(management, lab) as seen:
        run = management.submit(lab, "--scope", "workers", "--poll-interval", "10s")
        roll(management, lab, newer(management, lab), control_plane=False)
        wait_for("a worker to be deleted", lambda: (1, 1) in seen.pairs["workers"])
        pod = run.pod("workers")
        # A pod that Argo has not yet seen running is created anew within the same attempt.
        wait_for("Argo to know that it runs", lambda: [node["phase"] for node in attempts(run)] == ["Running"], 60)
        management.kubectl("-n", "argo", "delete", "pod", pod, "--wait=false")
        return run.ended(420), seen


@pytest.mark.plays.with_args(pod_deleted)
def test_a_step_whose_pod_is_deleted_goes_on_and_ends_the_same(played: tuple[Run, Recording]) -> None:
    run, seen = played
    assert (run.phase, run.exit) == ("Succeeded", 0)
    told = [(node["phase"], node.get("message", "")) for node in attempts(run)]
    assert len(told) >= 2, f"the step was started again: {told}"
    assert told[-1][0] == "Succeeded", told
    assert seen.worst("workers") == (1, 1)
    assert {node["type"] for node in run.nodes("control-plane")} == {"Skipped"}
