"""Second machines going down on a real Talos lab: hand-overs, late nodes, and every breach, told in the run list."""

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.management import (
    HOOK,
    Management,
    Recording,
    Run,
    follow,
    is_ready,
    newer,
    recording,
    roll,
    wait_for,
)
from tests.cluster.remediating import CONTROL_PLANE, annotate, machines

pytestmark = pytest.mark.cluster("capi")


def node_ready(management: Management, lab: str, delay: str) -> None:
    """How long the lab's new Nodes stay NotReady, as while a CNI starts."""
    management.patch("clusters", lab, {"metadata": {"annotations": {"lab.talos/node-ready": delay}}})


def hold(management: Management, lab: str, scope: str) -> None:
    """Whoever is deleted stays until it is released."""
    for machine in machines(management, lab, scope):
        management.patch("machines", machine["metadata"]["name"], {"metadata": {"annotations": {HOOK: ""}}})


def handover(management: Management, lab: str) -> tuple[Run, Recording, str]:
    """Nodes are Ready 15 s late: the provider deletes the next machine before, which goes when the new one is Ready."""
    node_ready(management, lab, "15s")
    with tempfile.TemporaryDirectory() as folder, recording(management, lab) as seen:
        hold(management, lab, "control-plane")
        run = management.submit(lab, "--scope", "control-plane", "--poll-interval", "10s")
        roll(management, lab, newer(management, lab), workers=False)
        log = Path(folder) / "log"
        with follow(management, run, "control-plane", log):
            wait_for("the end", lambda: release_gone(management, seen) and run.phase != "Running", 420, 1)
        return run.ended(), seen, log.read_text()


@pytest.mark.plays.with_args(handover)
def test_a_handover_is_waited_for_and_named(played: tuple[Run, Recording, str]) -> None:
    run, seen, log = played
    assert (run.exit, run.phase) == (0, "Succeeded"), run.message
    assert (1, 2) in seen.pairs["control-plane"]
    assert (0, 2) not in seen.pairs["control-plane"]
    assert "[G3]" in log


def release_gone(management: Management, seen: Recording) -> bool:
    """Let a deleting machine go as soon as all the others are Ready. Always True."""
    mine = [m for m in seen.machines.values() if CONTROL_PLANE in m["metadata"]["labels"]]
    deleting = [m for m in mine if "deletionTimestamp" in m["metadata"]]
    if deleting and all(is_ready(m) for m in mine if m not in deleting):
        for machine in deleting:
            if HOOK in machine["metadata"].get("annotations", {}):
                management.run("kubectl", "annotate", "machine", machine["metadata"]["name"], f"{HOOK}-", check=False)
    return True


@dataclass(frozen=True)
class Breach:
    """A run that has ended with one, its row in `argo list`, the log of its end, the machine that was the second."""

    run: Run
    row: str
    lines: list[str]
    second: str = ""


def breach(management: Management, run: Run, step: str, second: str = "") -> Breach:
    run.ended(240)
    lines = [line for line in run.last_log(step).splitlines() if not line.startswith("time=")]
    verdict = next(line for line in lines if " exit 3: " in line)
    return Breach(run, management.run_list(run.name), [*lines[: lines.index(verdict)], verdict], second)


def told(played: Breach, rule: str = "") -> None:
    """What holds for every breach; its rule."""
    run = played.run
    assert (run.phase, run.exit) == ("Failed", 3)
    assert run.message.removeprefix("main: Error (exit code 3): ")[:60] in played.row, "argo list shows the sentence"
    assert "Brake: kubectl -n default annotate " in run.message
    assert "while paused no replacement is created" in run.message
    assert played.second in run.message
    assert rule in run.message


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


def no_grace(management: Management, lab: str) -> Breach:
    node_ready(management, lab, "15s")
    with recording(management, lab) as seen:
        hold(management, lab, "control-plane")
        run = management.submit(lab, "--scope", "control-plane", "--handover-grace", "0s")
        roll(management, lab, newer(management, lab), workers=False)
        wait_for(
            "the end", lambda: release_first(management, seen) and run.phase not in ("", "Pending", "Running"), 240
        )
    return breach(management, run, "control-plane")


@pytest.mark.plays.with_args(no_grace)
def test_without_grace_the_same_roll_breaches(played: Breach) -> None:
    told(played, "[G2]")
    judged_at_once(played.lines, first_offence(played.lines, "control-plane", "notReady"))


def release_first(management: Management, seen: Recording) -> bool:
    """The first machine goes by itself, its successor's hand-over is the breach. Always True."""
    mine = [m for m in seen.machines.values() if CONTROL_PLANE in m["metadata"]["labels"]]
    new = [m for m in mine if HOOK not in m["metadata"].get("annotations", {})]
    return release_gone(management, seen) if not new else True


def late_nodes(management: Management, lab: str) -> Breach:
    node_ready(management, lab, "30s")
    run = management.submit(lab, "--scope", "control-plane")
    roll(management, lab, newer(management, lab), workers=False)
    return breach(management, run, "control-plane")


@pytest.mark.plays.with_args(late_nodes)
def test_nodes_that_stay_late_breach_at_the_first_moment_without_a_handover(played: Breach) -> None:
    """(0,2): long before the provider has taken the third machine."""
    told(played)
    lines = played.lines
    offence = next(line for line in lines if "deleting 0 (none), notReady 2 (" in line and " control-plane: " in line)
    judged_at_once(lines, offence)
    assert any("[G3]" in line for line in lines), "the hand-over before it was waited for"
    assert not any("notReady 3" in line for line in lines), "the verdict comes long before (1,3)"


def one_worker_deleting(management: Management, lab: str, seen: Recording) -> tuple[Run, str]:
    """A roll of the workers that stands still: the first machine is deleting and stays so. The run, another worker."""
    hold(management, lab, "workers")
    run = management.submit(lab, "--scope", "workers")
    roll(management, lab, newer(management, lab), control_plane=False)
    wait_for("a worker to be deleted", lambda: (1, 1) in seen.pairs["workers"])
    run.pod("workers")
    others = (one["metadata"] for one in machines(management, lab, "workers"))
    return run, next(str(one["name"]) for one in others if "deletionTimestamp" not in one)


def second_down(management: Management, lab: str, happens: Callable[[str], object]) -> Breach:
    """While one worker is deleting, something happens to another one."""
    with recording(management, lab) as seen:
        run, second = one_worker_deleting(management, lab, seen)
        happens(second)
        return breach(management, run, "workers", second)


def second_fails(management: Management, lab: str) -> Breach:
    return second_down(management, lab, lambda second: annotate(management, second, node="not-ready"))


@pytest.mark.plays.with_args(second_fails)
def test_a_second_worker_that_fails_is_g2(played: Breach) -> None:
    told(played, "[G2]")
    judged_at_once(played.lines, first_offence(played.lines, "workers", "notReady"))


def second_deleted(management: Management, lab: str) -> Breach:
    return second_down(management, lab, lambda second: management.kubectl("delete", "machine", second, "--wait=false"))


@pytest.mark.plays.with_args(second_deleted)
def test_a_second_worker_deleted_by_hand_is_g1(played: Breach) -> None:
    told(played, "[G1]")
    judged_at_once(played.lines, first_offence(played.lines, "workers", "deleting"))
