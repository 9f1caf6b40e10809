"""A control-plane machine that hangs while it is born: touched only when etcd provably survives it.

The provider stands still meanwhile: its condition EtcdClusterHealthyCondition is False because of the stuck machine.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import pytest

from guards.naming import HOLD_ANNOTATION
from tests.cluster.management import Management, Object, Recording, recording, wait_for
from tests.cluster.played import Played, says
from tests.cluster.remediating import annotate, begin, fault, machines, note, reboots, roll_into_a_fault, wait_for_word

pytestmark = pytest.mark.cluster("capi")

STEP = "control-plane"


@dataclass
class Etcd(Played):
    """A run over the control plane, and what the provider said of etcd before anything was done."""

    condition: Object


def etcd_condition(management: Management, lab: str) -> Object:
    rows = management.get("taloscontrolplanes", f"{lab}-cp")["status"]["conditions"]
    return next(row for row in rows if row["type"] == "EtcdClusterHealthyCondition")


def unhealthy_etcd(management: Management, lab: str) -> Object:
    """Wait until the provider calls etcd unhealthy; its condition."""

    def condition() -> Object | None:
        row = etcd_condition(management, lab)
        return row if row["status"] == "False" else None

    found: Object = wait_for(f"the etcd of {lab} to be called unhealthy", condition, 90, 1)
    return found


def worst(seen: Recording) -> tuple[int, int]:
    return seen.worst(STEP)


def member_present(management: Management, lab: str) -> Etcd:
    """Its etcd does not come up, though it is listed; a reboot heals all of it."""
    with recording(management, lab) as seen:
        run = begin(management, lab, "--scope", STEP)
        stuck = roll_into_a_fault(management, lab, STEP, node="hung", etcd="unhealthy")
        condition = unhealthy_etcd(management, lab)
        wait_for("the reboot", lambda: reboots(management, stuck), 300, 2)
        still = etcd_condition(management, lab)
        annotate(management, stuck, etcd=None)
        run.ended(600)
    assert (condition["status"], still["status"]) == ("False", "False")
    return Etcd(run, stuck, seen, still)


@pytest.mark.plays.with_args(member_present)
def test_a_stuck_member_is_rebooted_though_the_provider_calls_etcd_unhealthy(played: Etcd) -> None:
    assert (played.run.exit, played.run.phase) == (0, "Succeeded"), played.run.message
    assert played.condition["status"] == "False"
    assert played.reboots == {played.stuck: 1}
    assert len(played.seen.seen) == 6 + 3, "three control-plane machines were replaced, no more"
    assert worst(played.seen) == (1, 1)


def member_gone(management: Management, lab: str) -> Etcd:
    """It has left etcd and no reboot brings it back: only a new machine does."""
    with recording(management, lab) as seen:
        run = begin(management, lab, "--scope", STEP)
        stuck = roll_into_a_fault(management, lab, STEP, node="broken", etcd="absent")
        condition = unhealthy_etcd(management, lab)
        run.ended(720)
    return Etcd(run, stuck, seen, condition)


@pytest.mark.plays.with_args(member_gone)
def test_a_machine_that_is_no_member_any_more_is_deleted_in_the_end(played: Etcd) -> None:
    assert (played.run.exit, played.run.phase) == (0, "Succeeded"), played.run.message
    assert played.condition["status"] == "False"
    assert played.reboots == {played.stuck: 1}
    assert "deletionTimestamp" in played.machine["metadata"]
    assert len(played.seen.seen) == 6 + 4, "three were replaced, and one of the new ones once more"
    assert worst(played.seen) == (1, 1)
    summary = played.run.output(STEP, "summary")
    assert says(summary, "reboot", played.stuck)
    assert says(summary, "delete", played.stuck)


# -- quorum unsafe, or not provable

Doubt = Callable[[Management, str], AbstractContextManager[None]]
"""(management, another control-plane machine) -> a block in which etcd's survival is not proven."""


def etcd_is(state: str) -> Doubt:
    return lambda management, other: fault(management, other, etcd=state)


def out_of_reach(management: Management, other: str) -> AbstractContextManager[None]:
    return fault(management, other, apid="down")


DOUBTS: dict[str, tuple[str, Doubt]] = {
    "learner": ("Q-learner", etcd_is("learner")),
    "alarm": ("Q-alarm", etcd_is("alarm")),
    "unreachable member": ("Q-silent", etcd_is("unreachable")),
    "differing lists": ("Q-lists", etcd_is("differing")),
    "unreachable machine": ("R-silence", out_of_reach),
}
"""What is wrong with another member -> (the rule that must be told, how it is made)."""


def doubtful(management: Management, lab: str) -> tuple[dict[str, str], int, Played]:
    """One run, one stuck machine; each doubt in turn, under a hold. Then everything is well, and the run acts."""
    with recording(management, lab) as seen:
        run = begin(management, lab, "--scope", STEP, "--control-plane-timeout", "40m")
        stuck = roll_into_a_fault(management, lab, STEP, node="hung", boot="stuck")
        names = [one["metadata"]["name"] for one in machines(management, lab, STEP)]
        other = next(name for name in names if name != stuck)
        told = {}
        wait_for_word(management, run, STEP, f"waits for {STEP}")  # before the step a hold is a refusal
        with note(management, "cluster", lab, **{HOLD_ANNOTATION: "not tonight"}):
            wait_for_word(management, run, STEP, stuck, "[R-hold]")
            for what, (rule, doubt) in DOUBTS.items():
                with doubt(management, other):
                    told[what] = wait_for_word(management, run, STEP, stuck, f"[{rule}]", other)
            done = reboots(management, stuck)
        wait_for("the reboot", lambda: reboots(management, stuck), 300, 2)
        annotate(management, stuck, boot=None)
        run.ended(600)
    return told, done, Played(run, stuck, seen)


@pytest.mark.plays.with_args(doubtful)
def test_what_is_not_proven_of_etcd_is_told_by_its_rule_and_nothing_is_touched(
    played: tuple[dict[str, str], int, Played],
) -> None:
    told, done, _ = played
    assert done == 0
    assert set(told) == set(DOUBTS)


@pytest.mark.plays.with_args(doubtful)
def test_with_the_proof_the_same_run_acts(played: tuple[dict[str, str], int, Played]) -> None:
    *_, after = played
    assert (after.run.exit, after.run.phase) == (0, "Succeeded"), after.run.message
    assert after.reboots == {after.stuck: 1}


def two_voters(management: Management, lab: str) -> tuple[str, int, Played]:
    """A control plane of two: without the stuck machine there is no quorum. It heals by itself in the end."""
    management.patch("taloscontrolplanes", f"{lab}-cp", {"spec": {"replicas": 2}})
    wait_for("two machines", lambda: len(machines(management, lab, STEP)) == 2, 180, 2)
    wait_for("a quiet control plane", lambda: "converged" in _preflight(management, lab), 180, 3)
    run = begin(management, lab, "--scope", STEP, "--allow-two-control-planes")
    stuck = roll_into_a_fault(management, lab, STEP, node="hung", boot="stuck")
    word = wait_for_word(management, run, STEP, stuck, "[Q-voters]")
    done = reboots(management, stuck)
    annotate(management, stuck, node=None, boot=None)
    run.ended(600)
    management.patch("taloscontrolplanes", f"{lab}-cp", {"spec": {"replicas": 3}})
    return word, done, Played(run, stuck, Recording())


def _preflight(management: Management, lab: str) -> str:
    flags = ("--cluster-name", lab, "--scope", STEP, "--allow-two-control-planes", "true")
    return management.guards("preflight", *flags).stdout


@pytest.mark.plays.with_args(two_voters)
def test_of_two_voters_none_is_touched(played: tuple[str, int, Played]) -> None:
    word, done, after = played
    assert "2 voting members" in word
    assert done == 0
    assert (after.run.exit, after.run.phase) == (0, "Succeeded"), after.run.message
