"""A worker that hangs while it is born, on a real Talos lab: one reboot, then one delete, and then nothing more.

What was done is counted where it happens, by talos-lab and by our own watch of the Machines.
"""

import pytest

from tests.cluster.management import Management
from tests.cluster.played import Played, play, says
from tests.cluster.remediating import settle

pytestmark = pytest.mark.cluster("capi")


def heals(management: Management, lab: str) -> Played:
    return play(management, lab, node="hung")


@pytest.mark.plays.with_args(heals)
def test_a_worker_that_a_reboot_heals_is_rebooted_once(played: Played) -> None:
    assert (played.run.exit, played.run.phase) == (0, "Succeeded"), played.run.message
    assert played.reboots == {played.stuck: 1}
    assert "deletionTimestamp" not in played.machine["metadata"], "the machine that hung serves again"
    assert len(played.seen.seen) == 6 + 3, "three workers were replaced, no more"
    assert played.seen.worst("workers") == (1, 1)
    assert says(played.run.output("workers", "summary"), "reboot", played.stuck)


def breaks(management: Management, lab: str) -> tuple[Played, Played]:
    """Only a new machine helps; both acts of the budget are spent on it. Then another roll meets another hung one."""
    first = play(management, lab, node="broken")
    return first, play(management, lab, node="hung")


@pytest.mark.plays.with_args(breaks)
def test_a_worker_that_a_reboot_does_not_heal_is_deleted_once(played: tuple[Played, Played]) -> None:
    first, _ = played
    assert (first.run.exit, first.run.phase) == (0, "Succeeded"), first.run.message
    assert first.reboots == {first.stuck: 1}
    assert "deletionTimestamp" in first.machine["metadata"]
    assert len(first.seen.seen) == 6 + 4, "three workers were replaced, and one of the new ones once more"
    assert first.seen.worst("workers") == (1, 1)
    summary = first.run.output("workers", "summary")
    assert says(summary, "reboot", first.stuck)
    assert says(summary, "delete", first.stuck)


@pytest.mark.plays.with_args(breaks)
def test_the_budget_of_24_hours_holds_for_the_next_run(played: tuple[Played, Played]) -> None:
    first, second = played
    assert (second.run.exit, second.run.phase) == (3, "Failed"), second.run.message
    assert "[R-budget]" in second.run.message
    assert second.stuck in second.run.message
    assert first.stuck in second.run.message, "it says what the budget went for"
    assert second.reboots == {}
    assert "deletionTimestamp" not in second.machine["metadata"]


def spends(management: Management, lab: str) -> tuple[Played, Played]:
    """A site that never deletes; then one whose next act is one too many."""
    first = play(management, lab, "--remediate", "reboot", node="broken")
    management.kubectl("delete", "machine", first.stuck)  # what a person would do
    settle(management, lab)
    second = play(management, lab, "--acknowledge", node="broken")
    return first, second


@pytest.mark.plays.with_args(spends)
def test_with_remediate_reboot_a_machine_is_never_deleted(played: tuple[Played, Played]) -> None:
    first, _ = played
    assert (first.run.exit, first.run.phase) == (3, "Failed"), first.run.message
    assert "[R-ladder]" in first.run.message
    assert "remediate is reboot: a Machine is never deleted" in first.run.message
    assert first.reboots == {first.stuck: 1}
    assert "deletionTimestamp" not in first.machine["metadata"]


@pytest.mark.plays.with_args(spends)
def test_the_act_after_the_last_allowed_one_is_refused(played: tuple[Played, Played]) -> None:
    _, second = played
    assert (second.run.exit, second.run.phase) == (3, "Failed"), second.run.message
    assert "[R-budget]" in second.run.message
    assert second.reboots == {second.stuck: 1}, "the second and last act of the budget"
    assert "deletionTimestamp" not in second.machine["metadata"], "the delete would have been the third"


def unarmed(management: Management, lab: str) -> Played:
    """The same hung machine, in a run that has a credential and the permission, but was told not to use them."""
    return play(management, lab, "--max-remediations", "0", "--workers-timeout", "2m", node="hung")


@pytest.mark.plays.with_args(unarmed)
def test_a_run_that_only_watches_does_nothing_and_times_out(played: Played) -> None:
    assert (played.run.exit, played.run.phase) == (4, "Failed"), played.run.message
    assert played.stuck in played.run.message
    assert played.reboots == {}
    assert "deletionTimestamp" not in played.machine["metadata"]
