"""Signals at random moments to the real process that may reboot and delete, against real servers: T17.

A moment is a request, counted from the start of a pod or from the intent of an act. A failing run names its seed, and
`ROLLOUT_TEST_SEED=… python -m pytest tests/signals --mutants` begins with it.
"""

import os
import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from guards.core.ledger import Act, Action, State
from guards.exits import Exit
from tests.edge.canary import leaks
from tests.remediation.bench import UID
from tests.signals.stage import NEW, Arrived, Stage

GRACE = 30
"""Seconds from SIGTERM until Kubernetes kills it, its default. It needs a fraction of one; a starved computer more."""
ENDS = (Exit.DONE, Exit.REFUSED, Exit.TIMED_OUT)
BEFORE_IT_BEGAN = -signal.SIGTERM
"""Python was still loading: 143 in a container, and Argo starts the next pod."""
SEED = int(os.environ.get("ROLLOUT_TEST_SEED") or random.SystemRandom().randrange(1_000_000))
RUNS = 5
"""Of each case."""
CASES = (("workers", True), ("workers", False), ("control-plane", True), ("control-plane", False))


@pytest.fixture
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    step, heals = request.param
    with closing(Stage(step, heals, tmp_path)) as made:
        yield made


def last_word(pod: "subprocess.Popen[str]") -> str:
    said, _ = pod.communicate(timeout=120)
    assert "Traceback" not in said, said
    assert not leaks(said)
    return said


def terminate(stage: Stage, pod: "subprocess.Popen[str]") -> "subprocess.Popen[str]":
    """The pod is evicted; another one starts."""
    pod.send_signal(signal.SIGTERM)
    code = pod.wait(GRACE)
    said = last_word(pod)
    assert code in (*ENDS, Exit.INTERRUPTED, BEFORE_IT_BEGAN), said
    return stage.start()


def kill(stage: Stage, pod: "subprocess.Popen[str]") -> "subprocess.Popen[str]":
    """The node loses its power; another pod starts."""
    pod.kill()
    last_word(pod)
    return stage.start()


def freeze(stage: Stage, pod: "subprocess.Popen[str]") -> "subprocess.Popen[str]":
    """The virtual machine stands still for minutes of the cluster's time."""
    pod.send_signal(signal.SIGSTOP)
    Event().wait(0.3)
    pod.send_signal(signal.SIGCONT)
    return pod


def revive(stage: Stage, pod: "subprocess.Popen[str]") -> "subprocess.Popen[str]":
    """A node that was given up with its pod comes back, while another pod of the step is at work."""
    pod.send_signal(signal.SIGSTOP)
    successor = stage.start()
    goal = len(stage.management.seen) + 120
    stage.reached(lambda: len(stage.management.seen) > goal, successor)
    pod.send_signal(signal.SIGCONT)
    return successor


def strike(stage: Stage, dice: random.Random, pod: "subprocess.Popen[str]") -> "subprocess.Popen[str]":
    """One signal at one moment. The pod that is at work then."""
    what = dice.choice((terminate, kill, freeze, revive))
    if dice.random() < 0.6:  # around an act, where it matters
        stage.reached(lambda: stage.intended, pod)
    goal = len(stage.management.seen) + dice.randrange(1, 12 if stage.intended else 150)
    if not stage.reached(lambda: len(stage.management.seen) >= goal, pod):
        return pod
    Event().wait(dice.random() * 0.02)
    return what(stage, pod)


def play(stage: Stage, seed: int) -> None:
    dice = random.Random(seed)
    pod = stage.start()
    for _ in range(dice.randint(1, 3)):
        pod = strike(stage, dice, pod)
    said = last_word(pod)
    assert pod.returncode in ENDS, said
    for other in stage.pods:
        last_word(other)
    assert stage.violations() == [], said


@pytest.mark.parametrize("stage", [("workers", True)], indirect=True)
def test_the_judge_is_not_blind(stage: Stage) -> None:
    """Each invariant, broken by an entry in the servers' books."""
    uid = stage.bench.simulation.uid("Machine", NEW["workers"])
    act = Act(Action.REBOOT, NEW["workers"], uid, stage.bench.simulation.now(), UID, "pool", 2, State.INTENDED)
    good = Arrived("reboot", uid, f"argo/run/{UID}", (act,))
    other = replace(act, uid="another")
    for rule, books in {
        "S-4": [good] * 3,
        "S-5": [good, good],
        "S-6": [replace(good, uid="another", on_record=(other,))],
        "S-7": [replace(good, holder="argo/another/run")],
        "S-8": [replace(good, on_record=())],
    }.items():
        stage.acts = books
        assert any(found.startswith(rule) for found in stage.violations()), rule
    stage.acts = [good]
    assert stage.violations() == []


@pytest.mark.mutants
@pytest.mark.parametrize("stage", [("workers", False)], indirect=True)
def test_without_a_signal_it_reboots_and_deletes(stage: Stage) -> None:
    said = last_word(stage.start())
    assert [act.action for act in stage.acts] == ["reboot", "delete"], said
    assert stage.violations() == []


@pytest.mark.parametrize("stage", [("workers", True)], indirect=True)
def test_signals_in_the_middle_of_an_act(stage: Stage) -> None:
    """Evicted, killed, and given up but alive: one after the other, from the moment the act is on record."""
    on_record, go_on = Event(), Event()

    def hold() -> None:
        if stage.intended and not go_on.is_set():
            on_record.set()
            go_on.wait(30)

    stage.management.before_answer = hold
    pod = stage.start()
    assert on_record.wait(60)
    pod = terminate(stage, pod)
    assert stage.pods[0].returncode == Exit.INTERRUPTED, "and not waited for the answer"
    go_on.set()
    for what in (kill, revive):
        goal = len(stage.management.seen) + 3
        stage.reached(lambda least=goal: len(stage.management.seen) > least, pod)  # type: ignore[misc]
        pod = what(stage, pod)
    said = last_word(pod)
    assert pod.returncode in ENDS, said
    assert [act.action for act in stage.acts] in ([], ["reboot"]), "killed between intent and act it is not repeated"
    assert stage.violations() == [], said


@pytest.mark.mutants
@pytest.mark.parametrize(("step", "heals"), CASES)
def test_signals_at_random_moments(step: str, heals: bool, tmp_path: Path) -> None:
    acts = 0
    for seed in range(SEED, SEED + RUNS):
        print(f"seed {seed}")
        folder = tmp_path / str(seed)
        folder.mkdir()
        with closing(Stage(step, heals, folder)) as stage:
            play(stage, seed)
        acts += len(stage.acts)
    assert acts > RUNS / 2, "too few runs came as far as an act to prove anything"
