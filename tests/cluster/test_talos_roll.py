"""A combined commit on a Talos cluster: the real providers roll, the exported template supervises, in real pods."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.cluster.management import (
    Management,
    Object,
    Recording,
    Run,
    follow,
    is_ready,
    labs,
    recording,
    roll,
    wait_for,
)

pytestmark = pytest.mark.cluster("capi")

NAME = "roll"
LABS = (("talos", NAME),)


@pytest.fixture(scope="module")
def lab(management: Management) -> Iterator[str]:
    with labs(management, *LABS):
        yield NAME


@pytest.fixture(scope="module")
def rolled(management: Management, lab: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Recording, str]:
    """One run with scope=all over a commit to both pools: the Workflow, what an own watch saw, the first step's log."""
    log = tmp_path_factory.mktemp("log") / "control-plane.log"
    with recording(management, lab) as seen:
        run = management.submit(lab, "--poll-interval", "10s")
        roll(management, lab, "v1.35.1")
        with follow(management, run, "control-plane", log):
            run.ended(420)
    return run, seen, log.read_text()


def test_the_run_succeeds_when_the_last_machine_is_stable(rolled: tuple[Run, Recording, str]) -> None:
    run, seen, _ = rolled
    assert (run.phase, run.exit) == ("Succeeded", 0)
    assert all(is_ready(machine) for machine in seen.machines.values())
    assert run.output("preflight", "decision") == "roll"


def test_all_six_machines_were_replaced(rolled: tuple[Run, Recording, str]) -> None:
    _, seen, _ = rolled
    assert len(seen.seen) == 12, "six old UIDs, six new ones"
    assert len(seen.machines) == 6


@pytest.mark.parametrize("scope", ["control-plane", "workers"])
def test_never_more_than_one_at_a_time(rolled: tuple[Run, Recording, str], scope: str) -> None:
    _, seen, _ = rolled
    assert (1, 1) in seen.pairs[scope]
    assert seen.worst(scope) == (1, 1), seen.pairs[scope]


def test_the_workers_are_waited_for_after_the_control_plane(rolled: tuple[Run, Recording, str]) -> None:
    run, _, _ = rolled
    ended = max(node["finishedAt"] for node in run.nodes("control-plane"))
    began = min(node["startedAt"] for node in run.nodes("workers"))
    assert ended <= began


def test_the_log_tells_both_counts_with_names_once_a_change(rolled: tuple[Run, Recording, str]) -> None:
    _, _, log = rolled
    lines = [line for line in log.splitlines() if not line.startswith("time=")]
    assert "only watches" in lines[0]
    assert any(
        "control-plane: 2/3 available, deleting 1 (roll-cp-" in line and "notReady 1 (roll-cp-" in line
        for line in lines
    )
    told = [line.split(" ", 1)[1] for line in lines]
    assert all(before != after for before, after in pairwise(told)), "one line a change, not a poll"


def test_a_second_run_has_nothing_to_do(management: Management, rolled: tuple[Run, Recording, str], lab: str) -> None:
    wait_for(
        "30 s without a change",
        lambda: "converged" in management.guards("preflight", "--cluster-name", lab).stdout,
        90,
        5,
    )
    run = management.submit(lab).ended()
    assert (run.phase, run.output("preflight", "decision")) == ("Succeeded", "converged")
    assert {node["type"] for step in ("control-plane", "workers") for node in run.nodes(step)} == {"Skipped"}


def attempts(run: Run) -> list[Object]:
    """The pods of the workers step, the first one first."""
    return sorted((n for n in run.nodes("workers") if n["type"] == "Pod"), key=lambda node: str(node["startedAt"]))


def test_a_step_whose_pod_is_deleted_goes_on_and_ends_the_same(management: Management, lab: str) -> None:
    with recording(management, lab) as seen:
        run = management.submit(lab, "--scope", "workers", "--poll-interval", "10s")
        roll(management, lab, "v1.35.2", control_plane=False)
        wait_for("a worker to be deleted", lambda: (1, 1) in seen.pairs["workers"])
        pod = run.pod("workers")
        # A pod that Argo has not yet seen running is created anew within the same attempt.
        wait_for("Argo to know that it runs", lambda: [node["phase"] for node in attempts(run)] == ["Running"], 60)
        management.kubectl("-n", "argo", "delete", "pod", pod, "--wait=false")
        run.ended(420)
    assert (run.phase, run.exit) == ("Succeeded", 0)
    told = [(node["phase"], node.get("message", "")) for node in attempts(run)]
    assert len(told) >= 2, f"the step was started again: {told}"
    assert told[-1][0] == "Succeeded", told
    assert seen.worst("workers") == (1, 1)
    assert {node["type"] for node in run.nodes("control-plane")} == {"Skipped"}
