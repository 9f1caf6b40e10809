"""Which objects of the management cluster are used, and how: the one table behind every Role and every request.

The client, the simulator, the exported RBAC and each step's own permission check read it; an access that is not
listed here cannot happen.
"""

from dataclasses import dataclass
from functools import cache

CAPI = "cluster.x-k8s.io"
CONTROL_PLANE = "controlplane.cluster.x-k8s.io"
BOOTSTRAP = "bootstrap.cluster.x-k8s.io"
INFRASTRUCTURE = "infrastructure.cluster.x-k8s.io"
ARGO = "argoproj.io"
COORDINATION = "coordination.k8s.io"
EVENTS = "events.k8s.io"

READ = ("get", "list", "watch")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object. `versions` are the ones this program can parse, the preferred one first."""

    name: str
    group: str
    plural: str
    versions: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


CLUSTER = Kind("Cluster", CAPI, "clusters", ("v1beta2", "v1beta1"))
MACHINE = Kind("Machine", CAPI, "machines", ("v1beta2", "v1beta1"))
MACHINE_SET = Kind("MachineSet", CAPI, "machinesets", ("v1beta2", "v1beta1"))
MACHINE_DEPLOYMENT = Kind("MachineDeployment", CAPI, "machinedeployments", ("v1beta2", "v1beta1"))
MACHINE_HEALTH_CHECK = Kind("MachineHealthCheck", CAPI, "machinehealthchecks", ("v1beta2", "v1beta1"))
TALOS_CONTROL_PLANE = Kind("TalosControlPlane", CONTROL_PLANE, "taloscontrolplanes", ("v1alpha3",))
TALOS_CONFIG = Kind("TalosConfig", BOOTSTRAP, "talosconfigs", ("v1alpha3",))
TALOS_CONFIG_TEMPLATE = Kind("TalosConfigTemplate", BOOTSTRAP, "talosconfigtemplates", ("v1alpha3",))
WORKFLOW = Kind("Workflow", ARGO, "workflows", ("v1alpha1",))
WORKFLOW_TEMPLATE_KIND = Kind("WorkflowTemplate", ARGO, "workflowtemplates", WORKFLOW.versions)
LEASE = Kind("Lease", COORDINATION, "leases", ("v1",))
EVENT = Kind("Event", EVENTS, "events", ("v1",))


def infrastructure_kind(kind: str, group: str, version: str) -> Kind:
    """The machine kind a control plane's infrastructure template stamps out: MetalMachineTemplate -> MetalMachine."""
    name = kind.removesuffix("Template")
    return Kind(name, group, name.lower() + "s", (version,))


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of a Role: these verbs on these resources of one API group."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]


@cache
def cluster_rules(
    infrastructure_machines: tuple[tuple[str, str], ...], *, remediator: bool = False
) -> tuple[Rule, ...]:
    """What the steps need in a Cluster's namespace. `infrastructure_machines`: (group, plural) of the site."""
    capi = (CLUSTER, MACHINE, MACHINE_SET, MACHINE_DEPLOYMENT, MACHINE_HEALTH_CHECK)
    rules = [
        Rule(CAPI, tuple(kind.plural for kind in capi), READ),
        Rule(CONTROL_PLANE, (TALOS_CONTROL_PLANE.plural,), READ),
        Rule(BOOTSTRAP, (TALOS_CONFIG.plural, TALOS_CONFIG_TEMPLATE.plural), READ),
        *(Rule(group, (plural,), READ) for group, plural in infrastructure_machines),
        Rule(COORDINATION, (LEASE.plural,), ("get", "create", "update")),
        Rule(EVENTS, (EVENT.plural,), ("create",)),
    ]
    if remediator:
        rules.append(Rule(CAPI, (MACHINE.plural,), ("delete",)))
    return tuple(rules)


_RESULTS = Rule(ARGO, ("workflowtaskresults",), ("create", "patch"))
"""What every pod of a Workflow needs: its executor reports through them."""

RUN_RULES = (_RESULTS, Rule(ARGO, (WORKFLOW.plural,), ("get",)))
"""What the steps need in the namespace their Workflow runs in: Argo's results, and a look at the own Workflow."""

SENSOR_RULES = (Rule(ARGO, (WORKFLOW.plural,), ("create",)),)
"""What the Sensor needs in the run namespace."""

EVENT_SOURCE_RULES = (Rule(CONTROL_PLANE, (TALOS_CONTROL_PLANE.plural,), ("list", "watch")),)
"""What the EventSource needs in a Cluster's namespace."""

BACKSTOP_RULES = (Rule(CONTROL_PLANE, (TALOS_CONTROL_PLANE.plural,), ("list",)),)
"""What the backstop needs in a Cluster's namespace."""

BACKSTOP_RUN_RULES = (_RESULTS, Rule(ARGO, (WORKFLOW.plural,), ("get", "create")))
"""What it needs in the run namespace: Argo's results, and runs to look for and to create."""
