"""The conditions that Cluster API's Machine controller (v1.14) writes, with its reasons and messages.

Source: cluster-api v1.14, core/reconcilers/machine/machine_controller_status.go.
"""

from datetime import datetime, timedelta

from guards.simulator.records import Condition, MachineRecord, Node

Verdict = tuple[str, str, str]
"""Status, reason, message."""

DELETION_OVERDUE = timedelta(minutes=15)
"""After this the message of Ready says that the deletion takes long."""


def machine_conditions(machine: MachineRecord, now: datetime, node: tuple[Verdict, Verdict]) -> dict[str, Verdict]:
    """All conditions of one machine. `node`: what is to be said of NodeReady and NodeHealthy."""
    found: dict[str, Verdict] = {
        "Deleting": _deleting(machine),
        "Updating": ("False", "NotUpdating", ""),
        "BootstrapConfigReady": _bootstrap(machine),
        "InfrastructureReady": _infrastructure(machine),
        "Paused": ("False", "NotPaused", ""),
    }
    found["NodeReady"], found["NodeHealthy"] = node
    if machine.pool.scope == "workers":
        found["UpToDate"] = _up_to_date(machine)
    ready = found["Ready"] = _ready(machine, found, now)
    found["Available"] = ("True", "Available", "") if ready[0] == "True" else ("False", "NotReady", "")
    return found


def transition(old: dict[str, Condition], verdicts: dict[str, Verdict], now: datetime) -> dict[str, Condition]:
    """Conditions keep their transition time while their status stays the same."""
    new = {}
    for type_, (status, reason, message) in verdicts.items():
        before = old.get(type_)
        since = before.since if before and before.status == status else now
        new[type_] = Condition(status, reason, message, since)
    return new


def _deleting(machine: MachineRecord) -> Verdict:
    if not machine.deleting:
        return "False", "NotDeleting", ""
    if machine.deleting == "DrainingNode":
        node = machine.node.name if machine.node else ""
        return "True", "DrainingNode", f"Drain not completed yet (Node {node})"
    return "True", machine.deleting, ""


def _bootstrap(machine: MachineRecord) -> Verdict:
    if machine.infrastructure_gone:
        return "False", "Deleted", "TalosConfig has been deleted"
    if machine.bootstrap_ready:
        return "True", "Ready", ""
    return "False", "NotReady", "TalosConfig status.initialization.dataSecretCreated is false"


def _infrastructure(machine: MachineRecord) -> Verdict:
    if machine.infrastructure_gone:
        return "False", "Deleted", "MetalMachine has been deleted"
    if machine.infrastructure_ready:
        return "True", "Ready", ""
    return "False", "NotReady", "MetalMachine status.initialization.provisioned is false"


def connection_down(probed_at: datetime) -> tuple[Verdict, Verdict]:
    """NodeReady and NodeHealthy once Cluster API has given the workload API up."""
    down = ("Unknown", "ConnectionDown", f"Last successful probe at {probed_at:%Y-%m-%dT%H:%M:%SZ}")
    return down, down


def kept(machine: MachineRecord) -> tuple[Verdict, Verdict] | None:
    """NodeReady and NodeHealthy as written last; None when they never were."""
    ready, healthy = machine.conditions.get("NodeReady"), machine.conditions.get("NodeHealthy")
    if ready is None or healthy is None:
        return None
    return (ready.status, ready.reason, ready.message), (healthy.status, healthy.reason, healthy.message)


def node_verdicts(machine: MachineRecord) -> tuple[Verdict, Verdict]:
    """NodeReady and NodeHealthy as the workload API shows the Node."""
    node = machine.node
    if node is not None and not node.removed:
        return _node_ready(node), _node_healthy(node)
    missing = _node_missing(machine)
    return missing, missing


def _node_missing(machine: MachineRecord) -> Verdict:
    if machine.node is not None and machine.deleted:
        return "False", "NodeDeleted", f"Node {machine.node.name} has been deleted"
    if machine.node is not None:
        return "False", "NodeDeleted", f"Node {machine.node.name} has been deleted while the Machine still exists"
    if machine.deleted:
        return "Unknown", "NodeDoesNotExist", "Node does not exist"
    if machine.infrastructure_ready:
        return "Unknown", "InspectionFailed", f"Waiting for a Node with spec.providerID {provider_id(machine)} to exist"
    return "Unknown", "InspectionFailed", "Waiting for MetalMachine to report spec.providerID"


def _node_ready(node: Node) -> Verdict:
    if node.status == "True":
        return "True", "NodeReady", ""
    reason = "NodeNotReady" if node.status == "False" else "NodeReadyUnknown"
    return node.status, reason, f"* Node.Ready: {node.message}"


def _node_healthy(node: Node) -> Verdict:
    if node.status == "True":
        return "True", "NodeHealthy", ""
    if node.status == "False":
        return "False", "NodeNotHealthy", f"* Node.Ready: {node.message}"
    return "Unknown", "NodeHealthyUnknown", f"* Node.AllConditions: {node.message}"


def _up_to_date(machine: MachineRecord) -> Verdict:
    wanted, has = machine.pool.template, machine.template
    differences = []
    if wanted.version != has.version:
        differences.append(f"* Version {has.version}, {wanted.version} required")
    if wanted.config != has.config:
        differences.append("* TalosConfig is not up-to-date")
    if wanted.infrastructure != has.infrastructure:
        differences.append("* MetalMachine is not up-to-date")
    return ("False", "NotUpToDate", "\n".join(differences)) if differences else ("True", "UpToDate", "")


def _ready(machine: MachineRecord, found: dict[str, Verdict], now: datetime) -> Verdict:
    issues: list[str] = []
    unknown: list[str] = []
    if found["Deleting"][0] == "True":
        issues.append(f"* Deleting: {_deletion_summary(machine, now)}")
    for type_ in ("BootstrapConfigReady", "InfrastructureReady", "NodeHealthy"):
        status, reason, message = found[type_]
        tolerated = machine.deleted and reason in ("Deleted", "NodeDeleted", "NodeDoesNotExist")
        if status == "True" or tolerated:
            continue
        line = f"* {type_}:\n  {message}" if message.startswith("*") else f"* {type_}: {message}"
        (issues if status == "False" else unknown).append(line)
    if issues:
        return "False", "NotReady", "\n".join(issues + unknown)
    return ("Unknown", "ReadyUnknown", "\n".join(unknown)) if unknown else ("True", "Ready", "")


def _deletion_summary(machine: MachineRecord, now: datetime) -> str:
    overdue = machine.deleted is not None and now - machine.deleted > DELETION_OVERDUE
    since = " since more than 15m" if overdue else ""
    return f"Machine deletion in progress{since}, stage: {machine.deleting}"


def provider_id(machine: MachineRecord) -> str:
    return f"sidero://{machine.infrastructure.uid}"
