"""The exported permissions are the access table: nothing less, or steps fail; nothing more, or why list it."""

from typing import Any

import pytest

from guards.kube.access import (
    BACKSTOP_RULES,
    BACKSTOP_RUN_RULES,
    EVENT_SOURCE_RULES,
    RUN_RULES,
    SENSOR_RULES,
    Rule,
    cluster_rules,
)
from workflows.site import Site

METAL = (("infrastructure.cluster.x-k8s.io", "metalmachines"),)
DEV = (("infrastructure.cluster.x-k8s.io", "devmachines"),)

Access = set[tuple[str, str, str]]
"""(group, resource, verb)."""


def table(*rules: Rule) -> Access:
    return {(rule.group, resource, verb) for rule in rules for resource in rule.resources for verb in rule.verbs}


def granted(documents: list[dict[str, Any]]) -> dict[tuple[str, str], Access]:
    """(account, namespace) -> what the exported objects allow, as Kubernetes reads them."""
    roles = {(d["metadata"]["namespace"], d["metadata"]["name"]): d["rules"] for d in documents if d["kind"] == "Role"}
    found: dict[tuple[str, str], Access] = {}
    for binding in (document for document in documents if document["kind"] == "RoleBinding"):
        namespace = binding["metadata"]["namespace"]
        assert binding["roleRef"]["kind"] == "Role"
        for subject in binding["subjects"]:
            access = found.setdefault((subject["name"], namespace), set())
            for rule in roles[namespace, binding["roleRef"]["name"]]:
                access |= {(g, r, v) for g in rule["apiGroups"] for r in rule["resources"] for v in rule["verbs"]}
    return found


def test_the_example_site_grants_exactly_the_table(files: Any) -> None:
    assert granted(files["capi-rollout/rbac.yaml"]) == {
        ("capi-rollout-runner", "argo"): table(*RUN_RULES),
        ("capi-rollout-runner", "default"): table(*cluster_rules(METAL)),
        ("capi-rollout-event-source", "default"): table(*EVENT_SOURCE_RULES),
        ("capi-rollout-sensor", "argo"): table(*SENSOR_RULES),
    }


def test_remediation_and_a_second_namespace_add_no_more_than_they_need(rich_files: Any) -> None:
    assert granted(rich_files["capi-rollout/rbac.yaml"]) == {
        ("capi-rollout-runner", "argo"): table(*RUN_RULES),
        ("capi-rollout-remediator", "argo"): table(*RUN_RULES),
        ("capi-rollout-runner", "default"): table(*cluster_rules(METAL)),
        ("capi-rollout-remediator", "default"): table(*cluster_rules(METAL, remediator=True)),
        ("capi-rollout-runner", "lab"): table(*cluster_rules(DEV)),
        ("capi-rollout-remediator", "lab"): table(*cluster_rules(DEV, remediator=True)),
        ("capi-rollout-event-source", "default"): table(*EVENT_SOURCE_RULES),
        ("capi-rollout-event-source", "lab"): table(*EVENT_SOURCE_RULES),
        ("capi-rollout-sensor", "argo"): table(*SENSOR_RULES),
        ("capi-rollout-backstop", "argo"): table(*BACKSTOP_RUN_RULES),
        ("capi-rollout-backstop", "default"): table(*BACKSTOP_RULES),
        ("capi-rollout-backstop", "lab"): table(*BACKSTOP_RULES),
    }


def test_a_cluster_beside_the_runs_keeps_both_roles_apart(site: Site, parsed: Any) -> None:
    document = site.model_dump(by_alias=True)
    document["argo"]["namespace"] = "default"

    access = granted(parsed(Site.model_validate(document))["capi-rollout/rbac.yaml"])

    assert access["capi-rollout-runner", "default"] == table(*RUN_RULES, *cluster_rules(METAL))


@pytest.mark.parametrize("which", ["files", "rich_files"])
def test_nothing_is_cluster_wide_and_nothing_reads_secrets(which: str, request: pytest.FixtureRequest) -> None:
    exported = request.getfixturevalue(which)
    rbac = exported["capi-rollout/rbac.yaml"]
    everywhere = [document for documents in exported.values() for document in documents]

    assert not [document for document in everywhere if document.get("kind", "").startswith("ClusterRole")]
    assert {document["kind"] for document in rbac} == {"ServiceAccount", "Role", "RoleBinding"}
    for access in granted(rbac).values():
        assert not [triple for triple in access if "*" in triple or "secrets" in triple]


def test_only_the_remediator_deletes_and_only_machines(rich_files: Any) -> None:
    deletes = {
        (account, resource)
        for (account, _), access in granted(rich_files["capi-rollout/rbac.yaml"]).items()
        for _, resource, verb in access
        if verb in ("delete", "deletecollection")
    }
    assert deletes == {("capi-rollout-remediator", "machines")}


@pytest.mark.parametrize("which", ["files", "rich_files"])
def test_every_account_that_something_runs_as_exists(which: str, request: pytest.FixtureRequest) -> None:
    exported = request.getfixturevalue(which)
    accounts = {d["metadata"]["name"] for d in exported["capi-rollout/rbac.yaml"] if d["kind"] == "ServiceAccount"}
    templates = [d["spec"] for documents in exported.values() for d in documents if d.get("kind") == "WorkflowTemplate"]
    used = {template["serviceAccountName"] for template in templates}
    parts = [part for template in templates for part in template["templates"]]
    used |= {part["serviceAccountName"] for part in parts if "serviceAccountName" in part}
    for kind in ("event-source", "sensor"):
        used.add(exported[f"capi-rollout/{kind}-capi-rollout.yaml"][0]["spec"]["template"]["serviceAccountName"])

    assert used == accounts


def test_what_starts_runs_by_itself_may_do_little_else(rich_files: Any) -> None:
    """Written out: a wider table would be a wider export, and still equal to itself."""
    control_planes = ("controlplane.cluster.x-k8s.io", "taloscontrolplanes")
    workflows, results = ("argoproj.io", "workflows"), ("argoproj.io", "workflowtaskresults")
    access = granted(rich_files["capi-rollout/rbac.yaml"])

    assert access["capi-rollout-event-source", "default"] == {(*control_planes, "list"), (*control_planes, "watch")}
    assert access["capi-rollout-sensor", "argo"] == {(*workflows, "create")}
    assert access["capi-rollout-backstop", "default"] == {(*control_planes, "list")}
    assert access["capi-rollout-backstop", "argo"] == {
        *((*workflows, verb) for verb in ("get", "create")),
        *((*results, verb) for verb in ("create", "patch")),
    }
