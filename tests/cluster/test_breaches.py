"""Second machines going down on a real Talos lab: hand-overs, late nodes, and every breach, told in the run list."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.management import (
    HOOK,
    Management,
    Object,
    Recording,
    Run,
    follow,
    is_ready,
    labs,
    newer,
    recording,
    roll,
    wait_for,
)

pytestmark = pytest.mark.cluster("capi")

NAME = "late"
LABS = (("talos", NAME),)
CP, WORKERS = "cluster.x-k8s.io/control-plane", f"cluster.x-k8s.io/deployment-name={NAME}-workers"


def node_ready(management: Management, delay: str | None) -> None:
    """How long the lab's new Nodes stay NotReady, as while a CNI starts."""
    management.patch("clusters", NAME, {"metadata": {"annotations": {"lab.talos/node-ready": delay}}})


@pytest.fixture(scope="module")
def settled(management: Management) -> Iterator[str]:
    with labs(management, *LABS):
        yield NAME


@pytest.fixture
def lab(management: Management, settled: str) -> Iterator[str]:
    """The lab, whole again after each test: hooks and faults gone, every machine Ready."""
    yield settled
    node_ready(management, None)
    release(management)
    wait_for(
        f"{NAME} to be whole again",
        lambda: "converged" in management.guards("preflight", "--cluster-name", NAME).stdout,
        300,
        3,
    )


def machines(management: Management, labels: str) -> list[Object]:
    return management.list("machines", labels=f"cluster.x-k8s.io/cluster-name={NAME},{labels}")


def annotate(management: Management, machine: Object, **notes: str | None) -> None:
    keys = {"hook": HOOK, "node": "lab.talos/node"}
    change = {"metadata": {"annotations": {keys[key]: value for key, value in notes.items()}}}
    management.patch("machines", machine["metadata"]["name"], change)


def release(management: Management) -> None:
    for machine in management.list("machines", labels=f"cluster.x-k8s.io/cluster-name={NAME}"):
        annotate(management, machine, hook=None, node=None)


def test_a_handover_is_waited_for_and_named(management: Management, lab: str, tmp_path: Path) -> None:
    """Nodes are Ready 15 s late: the provider deletes the next machine before, which goes when the new one is Ready."""
    node_ready(management, "15s")
    with recording(management, NAME) as seen:
        for machine in machines(management, CP):
            annotate(management, machine, hook="")
        run = management.submit(lab, "--scope", "control-plane", "--poll-interval", "10s")
        roll(management, lab, newer(management, NAME), workers=False)
        log = tmp_path / "log"
        with follow(management, run, "control-plane", log):
            wait_for("the end", lambda: release_gone(management, seen) and run.phase != "Running", 420, 1)
    assert (run.ended().exit, run.phase) == (0, "Succeeded"), run.message
    assert (1, 2) in seen.pairs["control-plane"]
    assert (0, 2) not in seen.pairs["control-plane"]
    assert "[G3]" in log.read_text()


def release_gone(management: Management, seen: Recording) -> bool:
    """Let a deleting machine go as soon as all the others are Ready. Always True."""
    mine = [m for m in seen.machines.values() if CP in m["metadata"]["labels"]]
    deleting = [m for m in mine if "deletionTimestamp" in m["metadata"]]
    if deleting and all(is_ready(m) for m in mine if m not in deleting):
        for machine in deleting:
            if HOOK in machine["metadata"].get("annotations", {}):
                management.run("kubectl", "annotate", "machine", machine["metadata"]["name"], f"{HOOK}-", check=False)
    return True


def breach(management: Management, run: Run, step: str) -> list[str]:
    """The log of the run's end, after the checks that hold for every breach."""
    run.ended(240)
    assert (run.phase, run.exit) == ("Failed", 3)
    row = management.run_list(run.name)
    assert run.message.removeprefix("main: Error (exit code 3): ")[:60] in row, "argo list shows the sentence"
    assert "Brake: kubectl -n default annotate " in run.message
    assert "while paused no replacement is created" in run.message
    lines = [line for line in run.last_log(step).splitlines() if not line.startswith("time=")]
    verdict = next(line for line in lines if " exit 3: " in line)
    return [*lines[: lines.index(verdict)], verdict]


def first_offence(lines: list[str], scope: str, what: str, limit: int = 1) -> str:
    """The first line that counts more than `limit` of `what` in the scope."""
    for line in lines:
        match = re.search(rf" {scope}: .*{what} (\d+) \(", line)
        if match and int(match[1]) > limit:
            return line
    raise AssertionError(f"no line counts more than {limit} {what}: {lines}")


def judged_at_once(lines: list[str], offence: str) -> None:
    """No look lies between the first offending one and the verdict: they carry the same instant, nothing in between."""
    assert lines[-1].split()[0] == offence.split()[0]
    later = lines[lines.index(offence) + 1 : -1]
    assert all(line.split()[0] == offence.split()[0] for line in later)


def test_without_grace_the_same_roll_breaches(management: Management, lab: str) -> None:
    node_ready(management, "15s")
    with recording(management, NAME) as seen:
        for machine in machines(management, CP):
            annotate(management, machine, hook="")
        run = management.submit(lab, "--scope", "control-plane", "--handover-grace", "0s")
        roll(management, lab, newer(management, NAME), workers=False)
        wait_for(
            "the end", lambda: release_first(management, seen) and run.phase not in ("", "Pending", "Running"), 240
        )
    lines = breach(management, run, "control-plane")
    judged_at_once(lines, first_offence(lines, "control-plane", "notReady"))
    assert "[G2]" in run.message


def release_first(management: Management, seen: Recording) -> bool:
    """The first machine goes by itself, its successor's hand-over is the breach. Always True."""
    mine = [m for m in seen.machines.values() if CP in m["metadata"]["labels"]]
    new = [m for m in mine if HOOK not in m["metadata"].get("annotations", {})]
    return release_gone(management, seen) if not new else True


def test_nodes_that_stay_late_breach_at_the_first_moment_without_a_handover(management: Management, lab: str) -> None:
    """(0,2): long before the provider has taken the third machine."""
    node_ready(management, "30s")
    run = management.submit(lab, "--scope", "control-plane")
    roll(management, lab, newer(management, NAME), workers=False)
    lines = breach(management, run, "control-plane")
    offence = next(line for line in lines if "deleting 0 (none), notReady 2 (" in line and " control-plane: " in line)
    judged_at_once(lines, offence)
    assert any("[G3]" in line for line in lines), "the hand-over before it was waited for"
    assert not any("notReady 3" in line for line in lines), "the verdict comes long before (1,3)"


def one_worker_deleting(management: Management, lab: str, seen: Recording) -> Run:
    """A roll of the workers that stands still: the first machine is deleting and stays so."""
    for machine in machines(management, WORKERS):
        annotate(management, machine, hook="")
    run = management.submit(lab, "--scope", "workers")
    roll(management, lab, newer(management, NAME), control_plane=False)
    wait_for("a worker to be deleted", lambda: (1, 1) in seen.pairs["workers"])
    run.pod("workers")
    return run


def another_worker(management: Management) -> Object:
    return next(one for one in machines(management, WORKERS) if "deletionTimestamp" not in one["metadata"])


def test_a_second_worker_that_fails_is_g2(management: Management, lab: str) -> None:
    with recording(management, NAME) as seen:
        run = one_worker_deleting(management, lab, seen)
        broken = another_worker(management)
        annotate(management, broken, node="not-ready")
        lines = breach(management, run, "workers")
    judged_at_once(lines, first_offence(lines, "workers", "notReady"))
    assert "[G2]" in run.message
    assert broken["metadata"]["name"] in run.message


def test_a_second_worker_deleted_by_hand_is_g1(management: Management, lab: str) -> None:
    with recording(management, NAME) as seen:
        run = one_worker_deleting(management, lab, seen)
        victim = another_worker(management)["metadata"]["name"]
        management.kubectl("delete", "machine", victim, "--wait=false")
        lines = breach(management, run, "workers")
    judged_at_once(lines, first_offence(lines, "workers", "deleting"))
    assert "[G1]" in run.message
    assert victim in run.message
