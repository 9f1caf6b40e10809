"""Machines that must not be touched, on real labs: no act, and a clear word, until the last reason is gone."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from guards.naming import HOLD_ANNOTATION, PAUSED_ANNOTATION, SKIP_REMEDIATION
from tests.cluster.disturbed import lone_machine
from tests.cluster.management import Management, Run, newer, recording, roll, wait_for
from tests.cluster.played import Played
from tests.cluster.remediating import (
    annotate,
    begin,
    fault,
    machines,
    note,
    reboots,
    roll_into_a_fault,
    settle,
    variant,
    wait_for_word,
)

pytestmark = pytest.mark.cluster("capi")

PRE_DRAIN = "pre-drain.delete.hook.machine.cluster.x-k8s.io/test"
Obstacle = Callable[[Management, str, str], AbstractContextManager[None]]
"""(management, lab, stuck machine) -> a block in which something forbids to touch it."""


def maintenance(management: Management, _: str, stuck: str) -> AbstractContextManager[None]:
    return fault(management, stuck, apid="maintenance")


def unreachable(management: Management, _: str, stuck: str) -> AbstractContextManager[None]:
    return fault(management, stuck, apid="down")


def silent_neighbour(management: Management, lab: str, stuck: str) -> AbstractContextManager[None]:
    names = [one["metadata"]["name"] for one in machines(management, lab, "workers")]
    return fault(management, next(name for name in names if name != stuck), apid="down")


def paused(management: Management, _: str, stuck: str) -> AbstractContextManager[None]:
    return note(management, "machine", stuck, **{PAUSED_ANNOTATION: "true"})


def skipped(management: Management, _: str, stuck: str) -> AbstractContextManager[None]:
    return note(management, "machine", stuck, **{SKIP_REMEDIATION: "true"})


@contextmanager
def out_of_sight(management: Management, lab: str, _: str) -> Iterator[None]:
    """Nobody reaches the API server of the workload cluster any more: its port refuses."""
    port = str(management.get("cluster", lab)["spec"]["controlPlaneEndpoint"]["port"])
    rule = ["OUTPUT", "-p", "tcp", "--dport", port, "-m", "comment", "--comment", "capi-rollout-cluster"]
    rule += ["-j", "REJECT", "--reject-with", "tcp-reset"]
    subprocess.run(["iptables", "-I", *rule], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["iptables", "-D", *rule], check=True, capture_output=True)


OBSTACLES: dict[str, Obstacle] = {
    "R-maintenance": maintenance,
    "R-silence": silent_neighbour,
    "R-paused": paused,
    "R-hands-off": skipped,
    "R-sight": out_of_sight,
}
"""Rule that must be told -> what makes it hold. One after the other, under a hold that keeps the run from acting."""


def withheld(management: Management, lab: str) -> tuple[dict[str, str], int, Played]:
    """One run, one hung worker, every obstacle in turn: rule -> the line that told it, and the acts until then."""
    with recording(management, lab) as seen:
        run = begin(management, lab, "--scope", "workers", "--workers-timeout", "40m")
        stuck = roll_into_a_fault(management, lab, "workers", node="hung")
        told = {}
        wait_for_word(management, run, "workers", "waits for workers")  # before the step a hold is a refusal
        with note(management, "cluster", lab, **{HOLD_ANNOTATION: "not tonight"}):
            told["R-hold"] = wait_for_word(management, run, "workers", stuck, "'not tonight'", "[R-hold]")
            for rule, obstacle in OBSTACLES.items():
                with obstacle(management, lab, stuck):
                    told[rule] = wait_for_word(management, run, "workers", stuck, f"[{rule}]")
            done = reboots(management, stuck)
        run.ended(420)
    return told, done, Played(run, stuck, seen)


@pytest.mark.plays.with_args(withheld)
def test_nothing_is_touched_while_something_forbids_it_and_each_reason_is_told(
    played: tuple[dict[str, str], int, Played],
) -> None:
    told, done, _ = played
    assert done == 0
    assert "maintenance mode" in told["R-maintenance"] or "no known authority" in told["R-maintenance"]
    assert "does not answer" in told["R-silence"]
    assert "is paused" in told["R-paused"]
    assert SKIP_REMEDIATION in told["R-hands-off"]
    assert "RemoteConnectionProbe is False" in told["R-sight"]


@pytest.mark.plays.with_args(withheld)
def test_when_the_last_reason_is_gone_the_same_run_acts(played: tuple[dict[str, str], int, Played]) -> None:
    *_, after = played
    assert (after.run.exit, after.run.phase) == (0, "Succeeded"), after.run.message
    assert after.reboots == {after.stuck: 1}


@contextmanager
def stranger(management: Management, lab: str) -> Iterator[str]:
    """A Machine that nobody owns, with the labels of our workers. Its name."""
    name = f"{lab}-stranger"
    lone_machine(management, name, lab, **{"cluster.x-k8s.io/deployment-name": f"{lab}-workers"})
    try:
        yield name
    finally:  # while it is paused nobody else takes its finalizer away; once it is deleting nobody sets it again
        management.kubectl("delete", "machine", name, "--wait=false")
        management.patch("machine", name, {"metadata": {"finalizers": None}})


def foreign(management: Management, lab: str) -> tuple[Played, str]:
    """While a worker hangs somebody adds a Machine of no pool: it is down too, and nobody waits for it."""
    with recording(management, lab) as seen:
        run = begin(management, lab, "--scope", "workers")
        stuck = roll_into_a_fault(management, lab, "workers", node="hung")
        wait_for_word(management, run, "workers", "waits for workers")
        with stranger(management, lab) as name:
            run.ended(240)
    return Played(run, stuck, seen), name


@pytest.mark.plays.with_args(foreign)
def test_beside_a_foreign_machine_nothing_is_touched(played: tuple[Played, str]) -> None:
    after, name = played
    assert (after.run.exit, after.run.phase) == (3, "Failed"), after.run.message
    assert "[G2]" in after.run.message
    assert name in after.run.message
    assert after.reboots == {}
    assert "deletionTimestamp" not in after.machine["metadata"]


def own_node(management: Management, lab: str) -> tuple[str, int, Run]:
    """The step runs on the very machine that hangs: a template that says so. The machine heals by itself in the end."""
    stuck = roll_into_a_fault(management, lab, "workers", node="hung")
    node = wait_for("its node", lambda: management.get("machine", stuck)["status"].get("nodeRef", {}).get("name"), 60)
    template = variant(management, lab, CAPI_ROLLOUT_NODE_NAME=str(node))
    run = begin(management, lab, "--scope", "workers", template=template)
    word = wait_for_word(management, run, "workers", stuck, "[R-own-node]")
    done = reboots(management, stuck)
    annotate(management, stuck, node=None)
    return word, done, run.ended(300)


@pytest.mark.plays.with_args(own_node)
def test_the_machine_that_the_step_runs_on_is_not_touched(played: tuple[str, int, Run]) -> None:
    word, done, run = played
    assert "this step itself runs on node" in word
    assert done == 0
    assert (run.exit, run.phase) == (0, "Succeeded"), run.message


def stuck_drain(management: Management, lab: str) -> tuple[Played, Run]:
    """The old machine does not go: a drain that somebody holds. Before that a machine is down that nobody rolls."""
    oldest = min(machines(management, lab, "workers"), key=lambda one: one["metadata"]["creationTimestamp"])
    down = oldest["metadata"]["name"]
    with fault(management, down, node="not-ready"):
        wait_for("it to be down", lambda: "unhealthy: " in _preflight(management, lab), 60, 2)
        before = begin(management, lab, "--scope", "workers", "--workers-timeout", "61s").ended(120)
    settle(management, lab)
    with recording(management, lab) as seen:
        for one in machines(management, lab, "workers"):
            change = {"metadata": {"annotations": {PRE_DRAIN: ""}}}
            management.patch("machine", one["metadata"]["name"], change)
        run = begin(management, lab, "--scope", "workers", "--workers-timeout", "2m")
        roll(management, lab, newer(management, lab), control_plane=False)
        run.ended(300)
    deleting = [one for one in seen.seen.values() if "deletionTimestamp" in one["metadata"]]
    return Played(run, deleting[0]["metadata"]["name"], seen), before


def _preflight(management: Management, lab: str) -> str:
    flags = ("--cluster-name", lab, "--scope", "workers", "--workers-timeout", "1s")
    return management.guards("preflight", *flags).stdout


@pytest.mark.plays.with_args(stuck_drain)
def test_a_stuck_drain_is_told_with_its_reason_and_left_alone(played: tuple[Played, Run]) -> None:
    after, _ = played
    assert (after.run.exit, after.run.phase) == (4, "Failed"), after.run.message
    assert after.stuck in after.run.message
    assert "pre-drain" in after.run.message or "PreDrain" in after.run.message
    assert after.reboots == {}
    assert sum("deletionTimestamp" in one["metadata"] for one in after.seen.seen.values()) == 1


@pytest.mark.plays.with_args(stuck_drain)
def test_a_machine_that_was_down_before_the_run_is_not_touched(played: tuple[Played, Run]) -> None:
    _, before = played
    assert (before.exit, before.phase) == (3, "Failed"), before.message
    assert "unhealthy" in before.message
    assert before.nodes("workers") == [] or before.nodes("workers")[0]["phase"] == "Skipped"
