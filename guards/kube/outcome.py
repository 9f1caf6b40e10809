"""How our own Workflow ended, read from its nodes: the exit hook's view of the three steps."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from guards.core.verdict import Decision, Ending
from guards.exits import Exit
from guards.kube.access import WORKFLOW
from guards.kube.errors import KubeError, NotFound
from guards.kube.fields import at, instant, items, text
from guards.kube.ports import Clock, ManagementCluster, Object
from guards.parameters import Parameters

STEPS = ("preflight", "control-plane", "workers")
SETTLE = timedelta(seconds=30)
"""The controller writes the nodes it has just finished within this time, else the outcome is unknown."""

_CODE = re.compile(r"exit code (\d{1,3})\)?:? ?(.*)", re.DOTALL)
_GOOD = ("Succeeded", "Skipped", "Omitted")
_BAD = ("Failed", "Error")
_NOTHING_TO_DO = (Decision.SUPERSEDED, Decision.BOOTSTRAPPING, Decision.CONVERGED, Decision.SCALING)
"""What preflight may decide for the run to end well at once. Anything else, also no decision at all, may not."""


@dataclass(frozen=True, slots=True)
class Step:
    """The last word of one step: its phase, and message and outputs of its last attempt."""

    name: str
    phase: str
    message: str
    summary: str
    decision: str


def of_workflow(cluster: ManagementCluster, clock: Clock, parameters: Parameters) -> Ending:
    """The run's exit code and sentence; non-zero also when the outcome cannot be established."""
    where = f"Workflow {parameters.workflow_namespace}/{parameters.workflow_name}"
    if not parameters.workflow_name or not parameters.workflow_namespace or not parameters.workflow_uid:
        return Ending(Exit.USAGE, "report needs --workflow-name, --workflow-namespace and --workflow-uid")
    until = clock.now() + SETTLE
    while True:
        try:
            ending = judge(cluster.get(WORKFLOW, parameters.workflow_namespace, parameters.workflow_name), parameters)
        except NotFound:
            return Ending(Exit.BUG, f"{where} does not exist: the outcome is not established")
        except KubeError as error:
            ending, unknown = None, f"could not read {where}: {error}"
        else:
            unknown = f"{where}: its steps are not finished, the outcome is not established"
        if ending is not None:
            return ending
        if clock.now() >= until:
            return Ending(
                Exit.BUG, f"{unknown}; look: argo get -n {parameters.workflow_namespace} {parameters.workflow_name}"
            )
        clock.wait(2)


def judge(workflow: Object, parameters: Parameters) -> Ending | None:
    """The ending that the nodes tell; None while a step has not ended. The first step that failed decides."""
    if text(workflow, "metadata", "uid") != parameters.workflow_uid:
        return Ending(Exit.BUG, f"Workflow {parameters.workflow_name} is another one of the same name")
    steps = read_steps(workflow)
    for step in steps:
        if step.phase in _BAD:
            return _failure(step)
    if not steps or any(step.phase not in _GOOD for step in steps):
        return None
    if steps[0].name == "preflight" and steps[0].decision in _NOTHING_TO_DO:
        return Ending(Exit.DONE, steps[0].summary)
    through = [step.summary for step in steps if step.phase == "Succeeded" and step.name != "preflight"]
    return Ending(Exit.DONE, " · ".join(filter(None, through))) if through else None


def read_steps(workflow: Object) -> list[Step]:
    """The steps that this Workflow has nodes for, in their order."""
    nodes = at(workflow, "status", "nodes") or {}
    found = []
    for name in STEPS:
        mine = [node for node in nodes.values() if text(node, "templateName") == name]
        if mine:
            found.append(_step(name, mine))
    return found


def attempts(workflow: Object, steps: Iterable[str]) -> int:
    """Pods that were started for these steps so far, our own included."""
    nodes = at(workflow, "status", "nodes") or {}
    return sum(text(node, "type") == "Pod" and text(node, "templateName") in steps for node in nodes.values())


def why_not_running(workflow: Object, parameters: Parameters, step: str) -> str:
    """Why a step that still runs may not act any more: a zombie of a finished step, or a Workflow that is stopped."""
    where = f"Workflow {parameters.workflow_namespace}/{parameters.workflow_name}"
    if text(workflow, "metadata", "uid") != parameters.workflow_uid:
        return f"{where} is another one of the same name"
    phase, shutdown = text(workflow, "status", "phase"), text(workflow, "spec", "shutdown")
    if phase != "Running" or shutdown:
        return f"{where} is {shutdown or phase or 'without a phase'}, must be Running"
    mine = [found for found in read_steps(workflow) if found.name == step]
    if not mine or mine[0].phase not in ("Running", "Pending"):
        return f"{where}: step {step} is {mine[0].phase if mine else 'not among its nodes'}, must be Running"
    return ""


def _step(name: str, nodes: list[Object]) -> Step:
    """With a retryStrategy a step is a node of type Retry above one node for each attempt."""
    over = next((node for node in nodes if text(node, "type") == "Retry"), None)
    attempts = sorted((node for node in nodes if node is not over), key=lambda node: str(instant(node, "startedAt")))
    last = attempts[-1] if attempts else over
    assert last is not None
    outputs = {text(row, "name"): text(row, "value") for row in items(last, "outputs", "parameters")}
    return Step(
        name=name,
        phase=text(over or last, "phase"),
        message=text(last, "message") or text(over or last, "message"),
        summary=outputs.get("summary", ""),
        decision=outputs.get("decision", ""),
    )


def _failure(step: Step) -> Ending:
    said = f"{step.name} ended as {step.phase}: {step.message or 'without a message'}"
    return of_message(step.message) or Ending(Exit.BUG, said)


def of_message(message: str) -> Ending | None:
    """The ending in a node's `main: Error (exit code 3): sentence`; None when it holds no code of ours."""
    match = _CODE.search(message)
    if match is None or int(match[1]) not in set(Exit) or int(match[1]) == Exit.DONE:
        return None
    return Ending(Exit(int(match[1])), match[2].strip() or f"ended with exit code {match[1]}")
