"""What each exported ServiceAccount may do, asked of the real API server, equals the access table, both ways."""

import json
from collections.abc import Iterator

import pytest

from guards.kube.access import EVENT_SOURCE_RULES, INFRASTRUCTURE, RUN_RULES, SENSOR_RULES, Rule, cluster_rules
from tests.cluster.management import Management

pytestmark = pytest.mark.cluster("capi")

RUNNER, SENSOR, EVENT_SOURCE = "capi-rollout-runner", "capi-rollout-sensor", "capi-rollout-event-source"
MACHINES = ((INFRASTRUCTURE, "devmachines"),)
TABLE: dict[tuple[str, str], tuple[Rule, ...]] = {
    (RUNNER, "default"): cluster_rules(MACHINES),
    (RUNNER, "argo"): RUN_RULES,
    (SENSOR, "argo"): SENSOR_RULES,
    (SENSOR, "default"): (),
    (EVENT_SOURCE, "default"): EVENT_SOURCE_RULES,
    (EVENT_SOURCE, "argo"): (),
}
TALOS = "/apis/controlplane.cluster.x-k8s.io/v1alpha3/namespaces/default/taloscontrolplanes"
PATCHED = """
apiVersion: cluster.x-k8s.io/v1beta2
kind: Machine
metadata: {name: any, namespace: default, annotations: {cluster.x-k8s.io/paused: "true"}}
"""
"""What `apply --server-side` sends as a PATCH; the other commands do not read it."""
Right = tuple[str, str, str]


def rights(management: Management, account: str, namespace: str) -> set[Right]:
    """(verb, group, resource) that SelfSubjectRulesReview tells this account of itself."""
    token = management.kubectl("-n", "argo", "create", "token", account).strip()
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
def basics(management: Management) -> Iterator[set[Right]]:
    """What every ServiceAccount may do."""
    management.apply(
        '{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody-special", "namespace": "argo"}}'
    )
    yield rights(management, "nobody-special", "default")
    management.kubectl("-n", "argo", "delete", "serviceaccount", "nobody-special")


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
        ("delete", "machines.cluster.x-k8s.io", "any"),
        ("replace", "--raw", f"{TALOS}/any", "-f", "/dev/null"),
        ("apply", "--server-side", "--validate=false", "-f", "-"),
        ("get", "secrets"),
        ("-n", "kube-system", "get", "machines"),
        ("create", "serviceaccount", "x"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("account", [RUNNER, SENSOR, EVENT_SOURCE])
def test_no_account_may(management: Management, account: str, forbidden: tuple[str, ...]) -> None:
    """Refused for what it is, before the API server looks whether the object exists."""
    token = management.kubectl("-n", "argo", "create", "token", account).strip()
    done = management.run("kubectl", *as_token(management, token), *forbidden, stdin=PATCHED, check=False)
    assert done.returncode != 0
    assert "forbidden" in done.stderr.lower()
