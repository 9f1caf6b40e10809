"""Which steps of the template run, and what changes where the site enables remediation."""

import pytest

from guards.exits import RETRIED, Exit
from guards.parameters import Scope
from tests.authoring.reading import DECISION, TAG, VERBS, Template, part, step

# --- which steps run ---


def runs(template: Template, name: str, decision: str, scope: str, control_plane: str) -> bool:
    """Fill in the tags of a step's `when` as Argo does, then evaluate what is left."""
    values = {
        DECISION: decision,
        "workflow.parameters.scope": scope,
        "steps.control-plane.status": control_plane,
    }
    condition = TAG.sub(lambda tag: values[tag[1]], step(template, name)["when"])
    return bool(eval(condition.replace("&&", "and"), {"__builtins__": {}}))


@pytest.mark.parametrize("decision", ["converged", "superseded", "bootstrapping", "unhealthy", "unknown", ""])
@pytest.mark.parametrize("scope", Scope)
def test_nothing_runs_unless_preflight_says_roll(template: Template, decision: str, scope: Scope) -> None:
    assert not runs(template, "control-plane", decision, scope, "Skipped")
    assert not runs(template, "workers", decision, scope, "Skipped")


@pytest.mark.parametrize(
    ("scope", "status", "control_plane_runs", "workers_run"),
    [
        ("all", "Succeeded", True, True),
        ("all", "Failed", True, False),
        ("all", "Error", True, False),
        ("all", "Omitted", True, False),
        ("control-plane", "Succeeded", True, False),
        ("control-plane", "Failed", True, False),
        ("workers", "Skipped", False, True),
    ],
)
def test_scope_and_order(
    template: Template, scope: str, status: str, control_plane_runs: bool, workers_run: bool
) -> None:
    assert runs(template, "control-plane", "roll", scope, status) is control_plane_runs
    assert runs(template, "workers", "roll", scope, status) is workers_run


def test_no_decision_of_a_guard_is_asked_again() -> None:
    said_no = {Exit.DONE, Exit.BUG, Exit.USAGE, Exit.REFUSED, Exit.TIMED_OUT, Exit.FORBIDDEN, Exit.CONTRACT}

    assert not said_no & set(RETRIED)
    assert not {64, 65} & set(RETRIED), "Argo's executor uses these itself"


def test_what_was_lost_or_interrupted_starts_again() -> None:
    lost, killed, terminated = -1, 137, 143

    assert {lost, killed, terminated, Exit.INTERRUPTED, Exit.UNREACHABLE} == set(RETRIED)


# --- where the site enables remediation ---


@pytest.fixture
def acting(rich_files: dict[str, list[Template]]) -> Template:
    return rich_files["argo-workflows/capi-rollout-workflowtemplate.yaml"][0]


def test_only_acting_steps_get_account_and_credentials(acting: Template) -> None:
    accounts = {verb: part(acting, verb).get("serviceAccountName") for verb in VERBS}
    secrets = {verb: [v["secret"] for v in part(acting, verb)["volumes"] if "secret" in v] for verb in VERBS}

    secret = {"secretName": "capi-rollout-talos", "optional": True, "defaultMode": 0o440}
    assert accounts == {
        "preflight": None,
        "control-plane": "capi-rollout-remediator",
        "workers": "capi-rollout-remediator",
        "report": None,
    }
    assert secrets == {"preflight": [], "control-plane": [secret], "workers": [secret], "report": []}


def test_remediation_is_budgeted_only_where_it_is_enabled(template: Template, acting: Template) -> None:
    def budget(of: Template) -> str:
        arguments = of["spec"]["arguments"]["parameters"]
        return next(a["value"] for a in arguments if a["name"] == "maxRemediations")

    assert (budget(template), budget(acting)) == ("0", "2")
