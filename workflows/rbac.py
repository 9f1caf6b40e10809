"""Who may do what: ServiceAccounts, Roles and RoleBindings, all rows from the access table of the guards.

No ClusterRole, no wildcard, no Secret. One Role per namespace that holds Clusters, one in the run namespace.
"""

from collections.abc import Iterable, Iterator

from guards.kube.access import (
    BACKSTOP_RULES,
    BACKSTOP_RUN_RULES,
    EVENT_SOURCE_RULES,
    RUN_RULES,
    SENSOR_RULES,
    Rule,
    cluster_rules,
)
from workflows.manifests import BACKSTOP, EVENT_SOURCE, REMEDIATOR, RUNNER, SENSOR, Manifest, manifest, metadata
from workflows.site import Site

RUN_ROLE = "capi-rollout-run"
"""What every step needs beside its own Workflow, in the run namespace."""

_API = "rbac.authorization.k8s.io"


def build(site: Site) -> list[Manifest]:
    """Every object of rbac.yaml, accounts first."""
    grants = list(_grants(site))
    accounts = dict.fromkeys(account for _, _, _, holders in grants for account in holders)
    return [
        *(manifest("v1", "ServiceAccount", metadata(account, site.argo.namespace)) for account in accounts),
        *(part for grant in grants for part in _role_and_binding(site, *grant)),
    ]


Grant = tuple[str, str, tuple[Rule, ...], tuple[str, ...]]
"""Name of the Role, its namespace, its rules, the accounts that get it."""


def _grants(site: Site) -> Iterator[Grant]:
    steps = (RUNNER, REMEDIATOR) if site.remediation.enabled else (RUNNER,)
    yield RUN_ROLE, site.argo.namespace, RUN_RULES, steps
    for namespace in site.namespaces:
        machines = tuple((kind.group, kind.plural) for kind in site.infrastructure_in(namespace))
        for account in steps:
            yield account, namespace, cluster_rules(machines, remediator=account == REMEDIATOR), (account,)
        if site.events.enabled:
            yield EVENT_SOURCE, namespace, EVENT_SOURCE_RULES, (EVENT_SOURCE,)
        if site.backstop:
            yield BACKSTOP, namespace, BACKSTOP_RULES, (BACKSTOP,)
    if site.events.enabled:
        yield SENSOR, site.argo.namespace, SENSOR_RULES, (SENSOR,)
    if site.backstop:
        yield f"{BACKSTOP}-run", site.argo.namespace, BACKSTOP_RUN_RULES, (BACKSTOP,)


def _role_and_binding(
    site: Site, name: str, namespace: str, rules: Iterable[Rule], accounts: Iterable[str]
) -> tuple[Manifest, Manifest]:
    role = manifest(f"{_API}/v1", "Role", metadata(name, namespace), rules=[_rule(rule) for rule in rules])
    binding = manifest(
        f"{_API}/v1",
        "RoleBinding",
        metadata(name, namespace),
        roleRef={"apiGroup": _API, "kind": "Role", "name": name},
        subjects=[{"kind": "ServiceAccount", "name": who, "namespace": site.argo.namespace} for who in accounts],
    )
    return role, binding


def _rule(rule: Rule) -> Manifest:
    return {"apiGroups": [rule.group], "resources": list(rule.resources), "verbs": list(rule.verbs)}
