"""The backstop as it is exported: off by default, an own account, one round at a time, and only by reference."""

from typing import Any

import pytest

from guards.parameters import CONTRACT, ROUNDS
from tests.authoring.reading import part
from workflows.overlay import kustomizations
from workflows.site import Site

TEMPLATE = "argo-workflows/capi-rollout-backstop-workflowtemplate.yaml"
CRON = "capi-rollout/cron-workflow-capi-rollout.yaml"


@pytest.fixture
def backstop(rich_files: Any) -> dict[str, Any]:
    return rich_files[TEMPLATE][0]


def test_it_is_off_unless_the_site_asks_for_it(files: Any) -> None:
    assert not [name for name in files if "backstop" in name or "cron" in name]
    assert "backstop" not in repr(files)


def test_kustomize_lists_its_files(rich_site: Site) -> None:
    contents = {path.parent.name: content for path, content in kustomizations(rich_site).items()}
    for file in (TEMPLATE, CRON):
        folder, name = file.split("/")
        assert name in contents[folder]["resources"]


def test_one_round_at_a_time_by_reference_alone(rich_files: Any) -> None:
    """Where Argo accepts references only, a CronWorkflow with templates of its own would never run."""
    (cron,) = rich_files[CRON]

    assert cron["spec"]["concurrencyPolicy"] == "Forbid"
    assert len(cron["spec"]["schedules"]) == 1
    assert cron["spec"]["workflowSpec"] == {"workflowTemplateRef": {"name": "capi-rollout-backstop"}}
    assert cron["metadata"]["namespace"] == rich_files[TEMPLATE][0]["metadata"]["namespace"] == "argo"


def test_it_runs_under_its_own_account(backstop: dict[str, Any]) -> None:
    assert backstop["spec"]["serviceAccountName"] == "capi-rollout-backstop"
    assert "serviceAccountName" not in part(backstop, "backstop")


def test_it_looks_at_every_namespace_of_the_site(backstop: dict[str, Any]) -> None:
    inputs = {row["name"]: row["value"] for row in part(backstop, "backstop")["inputs"]["parameters"]}

    assert inputs == {
        "namespaces": "default,lab",
        "workflowNamespace": "{{workflow.namespace}}",
        "contract": CONTRACT,
    }
    assert set(inputs) == {knob.name for knob in ROUNDS}


def test_its_pod_is_the_one_of_a_step(backstop: dict[str, Any], rich_files: Any) -> None:
    """Same restrictions, image, resources: it differs in the verb only."""
    (template,) = rich_files["argo-workflows/capi-rollout-workflowtemplate.yaml"]
    script, report = part(backstop, "backstop")["script"], part(template, "report")["script"]

    assert script == report | {"command": ["python", "-m", "guards", "backstop"]}
    for key in ("securityContext", "tolerations", "podGC"):
        assert backstop["spec"][key] == template["spec"][key]


def test_its_rounds_end_and_go(backstop: dict[str, Any]) -> None:
    assert backstop["spec"]["activeDeadlineSeconds"] == 600
    assert backstop["spec"]["ttlStrategy"] == {"secondsAfterCompletion": 86_400}
