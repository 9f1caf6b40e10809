"""What each exported ServiceAccount may do, asked of the real API server, equals the access table, both ways."""

import json
from collections.abc import Iterator

import pytest

from guards.kube.access import (
    BACKSTOP_RULES,
    BACKSTOP_RUN_RULES,
    EVENT_SOURCE_RULES,
    INFRASTRUCTURE,
    RUN_RULES,
    SENSOR_RULES,
    Rule,
    cluster_rules,
)
from tests.cluster.management import SITE, Management
from workflows import rbac, yamls
from workflows.site import Site, load

pytestmark = pytest.mark.cluster("capi")

RUNNER, SENSOR, EVENT_SOURCE = "capi-rollout-runner", "capi-rollout-sensor", "capi-rollout-event-source"
REMEDIATOR, BACKSTOP = "capi-rollout-remediator", "capi-rollout-backstop"
ACCOUNTS = (RUNNER, REMEDIATOR, SENSOR, EVENT_SOURCE, BACKSTOP)
RUNS, CLUSTERS = "rights-runs", "rights-clusters"
"""Namespaces of a site that enables everything, apart from the one that the other tests use."""
MACHINES = ((INFRASTRUCTURE, "devmachines"),)
TABLE: dict[tuple[str, str], tuple[Rule, ...]] = {
    (RUNNER, CLUSTERS): cluster_rules(MACHINES),
    (RUNNER, RUNS): RUN_RULES,
    (REMEDIATOR, CLUSTERS): cluster_rules(MACHINES, remediator=True),
    (REMEDIATOR, RUNS): RUN_RULES,
    (SENSOR, CLUSTERS): (),
    (SENSOR, RUNS): SENSOR_RULES,
    (EVENT_SOURCE, CLUSTERS): EVENT_SOURCE_RULES,
    (EVENT_SOURCE, RUNS): (),
    (BACKSTOP, CLUSTERS): BACKSTOP_RULES,
    (BACKSTOP, RUNS): BACKSTOP_RUN_RULES,
}
TALOS = f"/apis/controlplane.cluster.x-k8s.io/v1alpha3/namespaces/{CLUSTERS}/taloscontrolplanes"
MACHINES_PATH = f"/apis/cluster.x-k8s.io/v1beta2/namespaces/{CLUSTERS}/machines"
PATCHED = f"""
apiVersion: cluster.x-k8s.io/v1beta2
kind: Machine
metadata: {{name: any, namespace: {CLUSTERS}, annotations: {{cluster.x-k8s.io/paused: "true"}}}}
"""
"""What `apply --server-side` sends as a PATCH; the other commands do not read it."""
Right = tuple[str, str, str]


def rights(management: Management, account: str, namespace: str) -> set[Right]:
    """(verb, group, resource) that SelfSubjectRulesReview tells this account of itself."""
    token = management.kubectl("-n", RUNS, "create", "token", account).strip()
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    kubectl = ("kubectl", *as_token(management, token), "create", "--validate=false", "-o", "json", "-f", "-")
    answer = json.loads(management.run(*kubectl, stdin=json.dumps(review)).stdout)
    assert not answer["status"]["incomplete"]
    return {
        (verb, group, resource)
        for rule in answer["status"]["resourceRules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def as_token(management: Management, token: str) -> tuple[str, ...]:
    """kubectl flags for a call with nothing but this token: the client certificate of the kubeconfig would win."""
    config = json.loads(management.kubectl("config", "view", "--raw", "-o", "json"))
    bare = {**config, "users": [{"name": user["name"], "user": {"token": token}} for user in config["users"]]}
    path = management.folder / "token.kubeconfig"
    path.write_text(json.dumps(bare))
    return ("--kubeconfig", str(path))


@pytest.fixture(scope="module")
def everything() -> Site:
    """The site of these tests with every account there is, in namespaces of its own."""
    document = load(SITE).model_dump(by_alias=True)
    document["argo"]["namespace"] = RUNS
    document["clusters"][0]["namespace"] = CLUSTERS
    document["remediation"]["enabled"] = document["events"]["enabled"] = document["backstop"] = True
    return Site.model_validate(document)


@pytest.fixture(scope="module", autouse=True)
def applied(management: Management, everything: Site) -> Iterator[None]:
    """rbac.yaml as it is exported."""
    for namespace in (RUNS, CLUSTERS):
        management.apply(f"{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}")
    management.apply(yamls.dump_all(rbac.build(everything)))
    yield
    management.kubectl("delete", "namespace", RUNS, CLUSTERS)


@pytest.fixture(scope="module")
def basics(management: Management, applied: None) -> set[Right]:
    """What every ServiceAccount may do."""
    management.kubectl("-n", RUNS, "create", "serviceaccount", "nobody-special")
    return rights(management, "nobody-special", CLUSTERS)


def test_no_account_is_left_out(everything: Site) -> None:
    exported = {each["metadata"]["name"] for each in rbac.build(everything) if each["kind"] == "ServiceAccount"}
    assert exported == set(ACCOUNTS) == {account for account, _ in TABLE}


@pytest.mark.parametrize(("account", "namespace"), TABLE)
def test_rights_equal_the_access_table(
    management: Management, basics: set[Right], account: str, namespace: str
) -> None:
    wanted = {
        (verb, rule.group, resource)
        for rule in TABLE[account, namespace]
        for verb in rule.verbs
        for resource in rule.resources
    }
    assert rights(management, account, namespace) - basics == wanted


@pytest.mark.parametrize(
    "forbidden",
    [
        ("replace", "--raw", f"{TALOS}/any", "-f", "/dev/null"),
        ("apply", "--server-side", "--validate=false", "-f", "-"),
        ("get", "secrets"),
        ("-n", RUNS, "get", "secrets"),
        ("-n", RUNS, "delete", "workflows", "any"),
        ("-n", "kube-system", "get", "machines"),
        ("create", "serviceaccount", "x"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("account", ACCOUNTS)
def test_no_account_may(management: Management, account: str, forbidden: tuple[str, ...]) -> None:
    """Refused for what it is, before the API server looks whether the object exists."""
    token = management.kubectl("-n", RUNS, "create", "token", account).strip()
    where = () if forbidden[0] == "-n" else ("-n", CLUSTERS)
    command = ("kubectl", *as_token(management, token), *where, *forbidden)
    done = management.run(*command, stdin=PATCHED, check=False)
    assert done.returncode != 0
    assert "forbidden" in done.stderr.lower()


@pytest.mark.parametrize("account", ACCOUNTS)
def test_only_the_remediator_may_delete_a_machine(management: Management, account: str) -> None:
    token = management.kubectl("-n", RUNS, "create", "token", account).strip()
    kubectl = ("kubectl", *as_token(management, token), "-n", CLUSTERS)
    done = management.run(*kubectl, "delete", "--raw", f"{MACHINES_PATH}/any", check=False)
    assert done.returncode != 0
    assert ("forbidden" in done.stderr.lower()) == (account != REMEDIATOR)
