"""Which generations of a TalosControlPlane the backstop starts a run for."""

from dataclasses import replace
from datetime import timedelta

import pytest

from guards.core.unattended import Answer, Watched, judge
from tests.core.builders import NOON

LOST = Watched(
    namespace="default",
    name="homelab-control-plane",
    uid="2b1c5f0e-5f0c-4a3e-9a55-3d9d1f6e7a10",
    generation=7,
    cluster="homelab",
    deleting=False,
    changed_at=NOON - timedelta(minutes=20),
)
WEEK = timedelta(days=7)
MOMENT = timedelta(microseconds=1)


def test_a_generation_without_a_run_is_started() -> None:
    judgement = judge(LOST, False, NOON)

    assert judgement.answer is Answer.START
    assert judgement.why == "has no run since 2026-01-01 11:40:00 UTC"
    assert LOST.run == "capi-homelab-control-plane-2b1c5f0e-g7"


CASES = {
    "has its run": (LOST, True, Answer.NOTHING, "has its run capi-homelab-control-plane-2b1c5f0e-g7"),
    "deleting": (replace(LOST, deleting=True), False, Answer.NOTHING, "is being deleted"),
    "no label": (replace(LOST, cluster=""), False, Answer.NOTHING, "has no label cluster.x-k8s.io/cluster-name"),
    "almost a week": (replace(LOST, changed_at=NOON - WEEK + MOMENT), False, Answer.START, "has no run since"),
    "a week": (replace(LOST, changed_at=NOON - WEEK), False, Answer.NOTHING, "is older than 7 days"),
    "age unknown": (replace(LOST, changed_at=None), False, Answer.UNKNOWN, "no managedFields"),
    "age unknown, has its run": (replace(LOST, changed_at=None), True, Answer.NOTHING, "has its run"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_left_out(case: str) -> None:
    watched, has_run, answer, why = CASES[case]

    judgement = judge(watched, has_run, NOON)

    assert judgement.answer is answer
    assert why in judgement.why
