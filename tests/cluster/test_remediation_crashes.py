"""Everything that can go wrong around an act, on the real cluster: never two acts for one intent.

Acts are counted where they arrive: reboots by talos-lab, deletes in a proxy before the API server.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from ci.cluster import argo, processes
from tests.cluster.disturbed import impostor, kill_step, lone_machine, proxied, second_installation, twin, wait_for_pod
from tests.cluster.management import Management, Run, newer, recording, roll, wait_for
from tests.cluster.played import Played, play
from tests.cluster.remediating import (
    annotate,
    begin,
    reboots,
    roll_into_a_fault,
    settle,
    wait_for_word,
)
from tests.cluster.write_proxy import Hold, Request, WriteProxy

pytestmark = pytest.mark.cluster("capi")

Matches = Callable[[Request], bool]


@dataclass
class Disturbed(Played):
    """A run that was disturbed at one of its writes."""

    deletes: list[int]
    """The API server's answers to the deletes of the stuck Machine."""


def intent_of(action: str) -> Callable[[str, str], Matches]:
    """The write to the Lease that puts the intent of an act on record."""
    return lambda lab, _: (
        lambda request: (
            request.is_lease_write(lab) and "intended" in request.body and rf"\"action\":\"{action}\"" in request.body
        )
    )


def after_the_reboot(lab: str, _: str) -> Matches:
    """The write to the Lease that says: the reboot was sent."""
    return lambda request: request.is_lease_write(lab) and r"\"sent\"" in request.body


def the_delete(_: str, stuck: str) -> Matches:
    return lambda request: request.is_delete_of(stuck)


Disturbance = Callable[[Management, Run, WriteProxy, Hold, str], None]


def disturbed(
    management: Management,
    lab: str,
    where: Callable[[str, str], Matches],
    what: Disturbance,
    *flags: str,
    after: bool = False,
    node: str = "hung",
) -> Disturbed:
    """A roll of the workers into a stuck machine. At the first write that matches, `what` happens to the run."""
    with proxied(management, lab) as (proxy, template), recording(management, lab) as seen:
        run = begin(management, lab, "--scope", "workers", *flags, template=template)
        stuck = roll_into_a_fault(management, lab, "workers", node=node)
        with proxy.hold(where(lab, stuck), after=after) as hold:
            hold.wait()
            what(management, run, proxy, hold, stuck)
        run.ended(720)
        return Disturbed(run, stuck, seen, proxy.deletes(stuck))


def kill(management: Management, run: Run, _proxy: WriteProxy, hold: Hold, _stuck: str) -> None:
    """The process is gone, and what it was sending with it."""
    kill_step(management, run.pod("workers"))
    hold.drop()


def kill_and_arrive_late(management: Management, run: Run, _proxy: WriteProxy, hold: Hold, _stuck: str) -> None:
    """The process is gone; what it was sending arrives when its successor is at work already."""
    first = run.pod("workers")
    kill_step(management, first)
    wait_for("the next pod", lambda: (pod := run.pod("workers")) != first and pod, 120, 1)
    wait_for_word(management, run, "workers", "waiting for the proof of it")
    hold.release()


def evict(management: Management, run: Run, _proxy: WriteProxy, hold: Hold, _stuck: str) -> None:
    """The pod is deleted: SIGTERM, then a new one."""
    management.kubectl("-n", "argo", "delete", "pod", run.pod("workers"), "--wait=false")
    hold.drop()


def restart_controller(_management: Management, _run: Run, _proxy: WriteProxy, hold: Hold, _stuck: str) -> None:
    """Argo's controller is killed and started again; its locks live in its memory."""
    known = next(record for record in processes.records() if record.name == "workflow-controller")
    processes.stop(known)
    processes.run(argo.controller())
    hold.release()


# -- around a reboot


def killed_before_the_intent(management: Management, lab: str) -> Disturbed:
    return disturbed(management, lab, intent_of("reboot"), kill)


@pytest.mark.plays.with_args(killed_before_the_intent)
def test_a_step_killed_before_its_intent_is_on_record_begins_anew(played: Disturbed) -> None:
    assert (played.run.exit, played.run.phase) == (0, "Succeeded"), played.run.message
    assert played.reboots == {played.stuck: 1}


def killed_after_the_intent(management: Management, lab: str) -> Disturbed:
    return disturbed(management, lab, intent_of("reboot"), kill, after=True)


@pytest.mark.plays.with_args(killed_after_the_intent)
def test_a_reboot_that_may_have_been_sent_is_not_sent_again(played: Disturbed) -> None:
    """It never was: after five minutes without a proof the run says so and ends, rather than try twice."""
    assert (played.run.exit, played.run.phase) == (3, "Failed"), played.run.message
    assert "it is not repeated" in played.run.message
    assert "unproven" in played.run.message
    assert played.reboots == {}
    assert played.deletes == []


def evicted_after_the_reboot(management: Management, lab: str) -> Disturbed:
    return disturbed(management, lab, after_the_reboot, evict)


@pytest.mark.plays.with_args(evicted_after_the_reboot)
def test_the_next_pod_finds_the_proof_of_the_reboot(played: Disturbed) -> None:
    assert (played.run.exit, played.run.phase) == (0, "Succeeded"), played.run.message
    assert played.reboots == {played.stuck: 1}
    assert len(played.run.nodes("workers")) >= 3, "the retry node and two attempts"


# -- around a delete


def killed_before_the_delete(management: Management, lab: str) -> Disturbed:
    return disturbed(management, lab, the_delete, kill, node="broken")


@pytest.mark.plays.with_args(killed_before_the_delete)
def test_a_delete_that_may_have_been_sent_is_not_sent_again(played: Disturbed) -> None:
    assert (played.run.exit, played.run.phase) == (3, "Failed"), played.run.message
    assert "it is not repeated" in played.run.message
    assert played.deletes == []
    assert played.reboots == {played.stuck: 1}


def killed_and_the_delete_arrives_late(management: Management, lab: str) -> Disturbed:
    return disturbed(management, lab, the_delete, kill_and_arrive_late, node="broken")


@pytest.mark.plays.with_args(killed_and_the_delete_arrives_late)
def test_a_delete_that_arrives_late_is_the_only_one(played: Disturbed) -> None:
    assert (played.run.exit, played.run.phase) == (0, "Succeeded"), played.run.message
    assert played.deletes == [200]
    assert played.seen.worst("workers") == (1, 1)


def evicted_after_the_delete(management: Management, lab: str) -> Disturbed:
    return disturbed(management, lab, the_delete, evict, after=True, node="broken")


@pytest.mark.plays.with_args(evicted_after_the_delete)
def test_a_delete_whose_answer_was_lost_is_proven_by_the_machine(played: Disturbed) -> None:
    assert (played.run.exit, played.run.phase) == (0, "Succeeded"), played.run.message
    assert played.deletes == [200]
    assert played.seen.worst("workers") == (1, 1)


def controller_restarted_before_the_delete(management: Management, lab: str) -> Disturbed:
    return disturbed(management, lab, the_delete, restart_controller, node="broken")


@pytest.mark.plays.with_args(controller_restarted_before_the_delete)
def test_a_restart_of_argo_changes_nothing(played: Disturbed) -> None:
    assert (played.run.exit, played.run.phase) == (0, "Succeeded"), played.run.message
    assert played.deletes == [200]
    assert played.reboots == {played.stuck: 1}


def recreate(management: Management, _run: Run, _proxy: WriteProxy, hold: Hold, stuck: str) -> None:
    """While the delete is on its way somebody deletes the Machine, and another one gets its name."""
    management.kubectl("delete", "machine", stuck, "--timeout=60s")
    lone_machine(management, stuck, "another-cluster")
    hold.release()
    hold.answered.wait(30)
    still = management.get("machine", stuck)
    assert "deletionTimestamp" not in still["metadata"]
    management.patch("machine", stuck, {"metadata": {"annotations": None}})
    management.kubectl("delete", "machine", stuck, "--wait=false")


def recreated_before_the_delete(management: Management, lab: str) -> Disturbed:
    return disturbed(management, lab, the_delete, recreate, node="broken")


@pytest.mark.plays.with_args(recreated_before_the_delete)
def test_a_machine_of_the_same_name_is_not_hit(played: Disturbed) -> None:
    assert played.deletes[0] == 409, "the API server compared the UID"
    assert (played.run.exit, played.run.phase) == (0, "Succeeded"), played.run.message


# -- the Lease


def lose_lease(management: Management, run: Run, _proxy: WriteProxy, hold: Hold, _stuck: str) -> None:
    cluster = run.workflow()["metadata"]["labels"]["capi-rollout/cluster"]
    management.kubectl("-n", "default", "delete", "lease", f"capi-rollout-{cluster}")
    hold.release()


def steal_lease(management: Management, run: Run, _proxy: WriteProxy, hold: Hold, _stuck: str) -> None:
    cluster = run.workflow()["metadata"]["labels"]["capi-rollout/cluster"]
    thief = {"spec": {"holderIdentity": f"elsewhere/{run.name}/11111111-2222-3333-4444-555555555555"}}
    management.patch("lease", f"capi-rollout-{cluster}", thief)
    hold.release()


SHORT = ("--workers-timeout", "3m")


def lease_deleted(management: Management, lab: str) -> Disturbed:
    return disturbed(management, lab, intent_of("reboot"), lose_lease, *SHORT)


def lease_stolen(management: Management, lab: str) -> Disturbed:
    return disturbed(management, lab, intent_of("reboot"), steal_lease, *SHORT)


@pytest.mark.plays.with_args(lease_deleted)
def test_a_run_whose_lease_was_deleted_does_nothing_any_more(played: Disturbed) -> None:
    assert (played.run.exit, played.run.phase) == (4, "Failed"), played.run.message
    assert "was deleted" in played.run.message
    assert played.reboots == {}


@pytest.mark.plays.with_args(lease_stolen)
def test_a_run_whose_lease_was_stolen_does_nothing_any_more(played: Disturbed) -> None:
    assert (played.run.exit, played.run.phase) == (4, "Failed"), played.run.message
    assert "was taken by elsewhere/" in played.run.message
    assert played.reboots == {}


# -- strangers with the same powers


def two_installations(management: Management, lab: str) -> tuple[Played, str]:
    """Both supervise the same roll and meet the same hung machine at the same time."""
    with second_installation(management) as namespace, recording(management, lab) as seen:
        run = begin(management, lab, "--scope", "workers")
        stuck = roll_into_a_fault(management, lab, "workers", node="hung")
        run.pod("workers")
        other = impostor(management, "second", twin(management, run.workflow(), namespace), account=namespace)
        word = wait_for_pod(management, other, "another installation", namespace=namespace)
        run.ended(600)
        return Played(run, stuck, seen), word


@pytest.mark.plays.with_args(two_installations)
def test_a_second_installation_watches_only(played: tuple[Played, str]) -> None:
    first, word = played
    assert "it is never taken over" in word
    assert (first.run.exit, first.run.phase) == (0, "Succeeded"), first.run.message
    assert first.reboots == {first.stuck: 1}


def zombie(management: Management, lab: str) -> tuple[str, int, Played]:
    """A step of a Workflow that has long ended wakes up in the next roll."""
    finished = begin(management, lab, "--scope", "workers")
    roll(management, lab, newer(management, lab), control_plane=False)
    finished.ended(300)
    settle(management, lab)
    impostor(management, "zombie", finished.workflow(), account="capi-rollout-remediator")
    wait_for_pod(management, "zombie", "waits for workers")
    stuck = roll_into_a_fault(management, lab, "workers", node="hung")
    word = wait_for_pod(management, "zombie", stuck, "must be Running")
    done = reboots(management, stuck)
    management.kubectl("-n", "argo", "delete", "pod", "zombie", "--grace-period=5")
    annotate(management, stuck, node=None)
    settle(management, lab)
    return word, done, play(management, lab, node="hung")


@pytest.mark.plays.with_args(zombie)
def test_a_zombie_of_a_finished_workflow_does_nothing(played: tuple[str, int, Played]) -> None:
    word, done, after = played
    assert "is Succeeded, must be Running" in word
    assert done == 0
    assert (after.run.exit, after.run.phase) == (0, "Succeeded"), after.run.message
    assert after.reboots == {after.stuck: 1}, "the next run takes the Lease over and acts"
