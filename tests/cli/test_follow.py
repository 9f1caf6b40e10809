"""`submit --wait` and `--watch`: the outcome is what our report said, never what the phase looks like."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from guards.exits import Exit
from guards.kube.access import Kind
from guards.kube.errors import Unreachable
from tests.cli.conftest import ROOT, Run
from tests.cli.fakeapi import WORKFLOWS, FakeApi, kubeconfig, not_found, status
from workflows.follow import Follower

LOCK = "Waiting for capi-rollout/Mutex/default/homelab lock. Lock status: 0/1"
NAME = "capi-homelab-x7k2p"


def node(template: str, phase: str, message: str = "", **outputs: str) -> dict[str, Any]:
    rows = [{"name": name, "value": value} for name, value in outputs.items()]
    return {
        "templateName": template,
        "type": "Pod",
        "phase": phase,
        "message": message,
        "outputs": {"parameters": rows},
    }


def state(phase: str, message: str = "", *nodes: dict[str, Any]) -> dict[str, Any]:
    return {"phase": phase, "message": message, "nodes": {f"n{i}": each for i, each in enumerate(nodes)}}


PENDING = state("Pending", LOCK)
PREFLIGHT = node("preflight", "Succeeded", decision="roll", summary="3 machines to replace")
RUNNING = state("Running", "", PREFLIGHT, node("control-plane", "Running"))
ROLLED = node("control-plane", "Succeeded", summary="3 of 3 are up to date")
SENTENCE = "G2: workers: 2 not ready (w-1, w-2), 1 allowed"
FAILED_REPORT = node("report", "Failed", f"main: Error (exit code 3): {SENTENCE}")
DONE = state("Succeeded", "", PREFLIGHT, ROLLED, node("report", "Succeeded"))
BREACH = state("Failed", f"main: Error (exit code 3): {SENTENCE}", PREFLIGHT, FAILED_REPORT)


def test_watch_tells_every_change_once(on: Run, api: FakeApi) -> None:
    api.course = [{}, PENDING, PENDING, RUNNING, RUNNING, DONE]
    result = on("submit", "--watch")
    assert result.exit_code == 0, result.stderr
    told = [line[9:] for line in result.stderr.splitlines()[2:-1]]
    assert [" ".join(line.split()) for line in told] == [
        "workflow Pending",
        f"workflow Pending {LOCK}",
        "workflow Running",
        "preflight Succeeded 3 machines to replace",
        "control-plane Running",
        "workflow Succeeded",
        "control-plane Succeeded 3 of 3 are up to date",
        "report Succeeded",
    ]
    assert result.stderr.splitlines()[-1] == "done: 3 of 3 are up to date"
    assert result.stdout == f"workflow.argoproj.io/{NAME} created\n"


def test_wait_is_silent_and_ends_with_our_code(on: Run, api: FakeApi) -> None:
    api.course = [PENDING, RUNNING, BREACH]
    result = on("submit", "--wait")
    assert result.exit_code == 3
    assert result.stderr.splitlines()[2:] == [f"exit 3: {SENTENCE}"]


NOT_ESTABLISHED = {
    "terminated while it waited": state("Succeeded", "Stopped with strategy 'Terminate'"),
    "succeeded without a report": state("Succeeded", "", PREFLIGHT, ROLLED),
    "terminated while it reported": state("Succeeded", "", PREFLIGHT, node("report", "Failed", "workflow shutdown")),
    "an invalid spec": state("Error", "invalid spec: template not found"),
    "a report that was killed": state("Failed", "", PREFLIGHT, node("report", "Error", "pod deleted")),
    "a report with a strange code": state("Failed", "", node("report", "Failed", "main: Error (exit code 137): x")),
    "a report that says zero": state("Failed", "", node("report", "Failed", "main: Error (exit code 0)")),
    "stopped, with a good report": state("Failed", "Stopped with strategy 'Stop'", node("report", "Succeeded")),
    "an unfinished report": state("Succeeded", "", node("report", "Pending")),
}


@pytest.mark.parametrize("case", NOT_ESTABLISHED)
def test_no_report_no_outcome(on: Run, api: FakeApi, case: str) -> None:
    api.course = [PENDING, NOT_ESTABLISHED[case]]
    result = on("submit", "--wait")
    assert result.exit_code == 1
    assert "outcome not established: " in result.stderr
    assert "Next: python -m workflows plan" in result.stderr


def test_a_stopped_run_ends_with_its_reports_code(on: Run, api: FakeApi) -> None:
    report = node("report", "Failed", "main: Error (exit code 4): stopped while cp-2 was being replaced")
    api.course = [state("Failed", "Stopped with strategy 'Stop'", report)]
    result = on("submit", "--wait")
    assert result.exit_code == 4
    assert "exit 4: stopped while cp-2 was being replaced" in result.stderr


def test_a_run_that_vanishes(on: Run, api: FakeApi) -> None:
    api.replies["GET", f"{WORKFLOWS}/{NAME}"] = not_found(NAME)
    result = on("submit", "--wait")
    assert result.exit_code == 1
    assert f"outcome not established: Workflow argo/{NAME} is gone" in result.stderr


def test_another_run_of_the_same_name(on: Run, api: FakeApi) -> None:
    other = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "status": DONE}
    other["metadata"] = {"name": NAME, "namespace": "argo", "uid": "u-2"}
    api.replies["GET", f"{WORKFLOWS}/{NAME}"] = 200, other
    result = on("submit", "--wait")
    assert result.exit_code == 1
    assert "is another one of the same name" in result.stderr


def test_timeout(on: Run, api: FakeApi) -> None:
    api.course = [PENDING]
    result = on("submit", "--wait", "--timeout", "1s")
    assert result.exit_code == 124
    assert "exit 124: not ended within 1s; the run goes on" in result.stderr


def test_a_permission_that_is_taken_away_is_no_outage(on: Run, api: FakeApi) -> None:
    api.course = [RUNNING]
    path = ("GET", f"{WORKFLOWS}/{NAME}")
    api.on_look = lambda: api.replies.update({path: status(403, "not any more")})
    result = on("submit", "--watch")
    assert result.exit_code == 77
    assert "not any more" in result.stderr


class Outage:
    """A management cluster that does not answer for a while; it is also the clock."""

    def __init__(self, lasts: timedelta) -> None:
        self.at = self.back = datetime(2026, 11, 24, tzinfo=UTC)
        self.back += lasts

    def get(self, kind: Kind, namespace: str, name: str) -> Any:
        if self.at < self.back:
            raise Unreachable("connection refused")
        return {"metadata": {"uid": "u-1"}, "status": DONE}

    def now(self) -> datetime:
        return self.at

    def wait(self, seconds: float) -> frozenset[Kind]:
        self.at += timedelta(seconds=seconds)
        return frozenset()


@pytest.mark.parametrize(("minutes", "code"), [(14, Exit.DONE), (16, Exit.UNREACHABLE)])
def test_an_outage_is_sat_out_for_a_quarter_of_an_hour(minutes: int, code: Exit) -> None:
    told: list[str] = []
    outage: Any = Outage(timedelta(minutes=minutes))
    follower = Follower(outage, outage, "argo", NAME, "u-1", lambda now, line: told.append(line))
    assert follower.to_the_end(None).exit is code
    assert [line for line in told if "refused" in line] == ["could not look connection refused; trying again"]


def test_ctrl_c_leaves_the_run_alone(api: FakeApi, folder: Path) -> None:
    api.course = [PENDING]
    file = kubeconfig(folder / "config", api.url)
    command = [sys.executable, "-m", "workflows", "submit", "--watch", "--kubeconfig", str(file)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    listening = partial(signal.signal, signal.SIGINT, signal.default_int_handler)  # a background job ignores Ctrl-C
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=listening
    ) as process:
        assert process.stderr is not None
        assert any(LOCK in line for line in process.stderr), "it says what it waits for"
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(10) == 130
    assert said == f"interrupted; the run goes on. Next: kubectl -n argo get workflow {NAME} -w\n"
    assert len(api.posts()) == 1
