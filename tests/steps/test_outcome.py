"""The exit hook: the run's code and sentence from the nodes of its Workflow, as the real controller writes them."""

from typing import Any

import pytest

from guards.core.verdict import Ending
from guards.exits import Exit
from guards.kube.outcome import judge
from tests.core.builders import parameters

ME = parameters(workflowName="run", workflowNamespace="argo", workflowUid="uid-1")


def node(name: str, kind: str, phase: str, message: str = "", started: int = 0, **outputs: str) -> dict[str, Any]:
    rows = [{"name": key, "value": value} for key, value in outputs.items()]
    return {
        "name": name,
        "templateName": name.split(".")[-1].split("(")[0],
        "type": kind,
        "phase": phase,
        "message": message,
        "startedAt": f"2026-01-01T12:00:{started:02}Z",
        "outputs": {"parameters": rows},
    }


def step(
    name: str, phase: str, *attempts: tuple[str, str], summary: str = "", decision: str = ""
) -> list[dict[str, Any]]:
    """A Retry node above its attempts."""
    over = node(f"run[0].{name}", "Retry", phase, "retryStrategy.expression evaluated to false")
    pods = [
        node(f"run[0].{name}({i})", "Pod", ended, message, i, summary=summary, decision=decision)
        for i, (ended, message) in enumerate(attempts)
    ]
    return [over, *pods]


def workflow(*steps: list[dict[str, Any]], uid: str = "uid-1") -> dict[str, Any]:
    nodes = [one for each in steps for one in each]
    root = {"name": "run", "templateName": "main", "type": "Steps", "phase": "Succeeded"}
    return {
        "metadata": {"uid": uid, "name": "run", "namespace": "argo"},
        "status": {"nodes": {str(i): one for i, one in enumerate([root, *nodes])}},
    }


OK = ("Succeeded", "")
GO = step("preflight", "Succeeded", OK, decision="roll", summary="roll: 6 machines")


def skipped(name: str) -> list[dict[str, Any]]:
    return [node(f"run[0].{name}", "Skipped", "Skipped", "when … evaluated false")]


def end(*steps: list[dict[str, Any]]) -> Ending | None:
    return judge(workflow(*steps), ME)


def test_all_steps_through_is_done_with_their_words() -> None:
    ending = end(GO, step("control-plane", "Succeeded", OK, summary="cp done"),
                 step("workers", "Succeeded", OK, summary="workers done"))  # fmt: skip
    assert ending == Ending(Exit.DONE, "cp done · workers done")


def test_the_code_and_the_sentence_of_the_step_that_failed() -> None:
    failed = step("control-plane", "Failed", ("Failed", "main: Error (exit code 3): 2 machines are down [G2]"))
    assert end(GO, failed, skipped("workers")) == Ending(Exit.REFUSED, "2 machines are down [G2]")


def test_the_last_attempt_speaks() -> None:
    failed = step("workers", "Failed", ("Error", "pod deleted"), ("Failed", "main: Error (exit code 4): no progress"))
    assert end(GO, skipped("control-plane"), failed) == Ending(Exit.TIMED_OUT, "no progress")


def test_a_pod_that_was_lost_and_started_again_is_no_failure() -> None:
    again = step("workers", "Succeeded", ("Error", "pod deleted"), OK, summary="workers done")
    assert end(GO, skipped("control-plane"), again) == Ending(Exit.DONE, "workers done")


def test_a_preflight_that_said_no_more_is_needed() -> None:
    through = step("preflight", "Succeeded", OK, decision="converged", summary="converged: all 6")
    assert end(through, skipped("control-plane"), skipped("workers")) == Ending(Exit.DONE, "converged: all 6")


@pytest.mark.parametrize("message", ["workflow shutdown with strategy:  Stop", "", "pod deleted"])
def test_a_failure_without_a_code_is_never_done(message: str) -> None:
    ending = end(GO, step("control-plane", "Failed", ("Failed", message)), skipped("workers"))
    assert ending is not None
    assert ending.exit is Exit.BUG
    assert "control-plane ended as Failed" in ending.sentence


@pytest.mark.parametrize("code", [0, 42, 255])
def test_a_code_that_is_none_of_ours_is_never_done(code: int) -> None:
    ending = end(GO, step("workers", "Failed", ("Failed", f"main: Error (exit code {code})")))
    assert ending is not None
    assert ending.exit is Exit.BUG


def test_a_step_that_runs_leaves_it_open() -> None:
    assert end(GO, step("control-plane", "Running", ("Running", ""))) is None


def test_no_step_at_all_is_not_established() -> None:
    assert end() is None


def test_only_skipped_steps_after_roll_are_not_established() -> None:
    assert end(GO, skipped("control-plane"), skipped("workers")) is None


@pytest.mark.parametrize("decision", ["", "unknown", "refused", "unhealthy"])
def test_a_preflight_without_a_good_decision_is_not_established(decision: str) -> None:
    """`unknown` is the default of an output file that was never written."""
    nothing = step("preflight", "Succeeded", OK, decision=decision)
    assert end(nothing, skipped("control-plane"), skipped("workers")) is None


def test_a_single_step_as_entrypoint() -> None:
    alone = [
        node("run", "Retry", "Succeeded") | {"templateName": "workers"},
        node("run(0)", "Pod", "Succeeded", summary="ok") | {"templateName": "workers"},
    ]
    assert end(alone) == Ending(Exit.DONE, "ok")


def test_another_workflow_of_the_same_name() -> None:
    ending = judge(workflow(GO, uid="uid-2"), ME)
    assert ending is not None
    assert ending.exit is Exit.BUG
