"""What the WorkflowTemplate promises. Each function tells whether a template keeps the promise in its name."""

import re
from collections.abc import Iterator
from typing import Any

from guards.exits import RETRIED
from guards.parameters import ASKED, CONTRACT, KNOBS
from tests.authoring.reading import DECISION, STEPS, TAG, VERBS, Template, names, part, step, steps, texts


def one_run_per_cluster(template: Template) -> bool:
    lock = "{{workflow.parameters.clusterNamespace}}/{{workflow.parameters.clusterName}}"
    return template["spec"].get("synchronization") == {"mutexes": [{"namespace": "capi-rollout", "name": lock}]}


def control_plane_before_workers(template: Template) -> bool:
    return [step["name"] for step in steps(template)] == [*STEPS, "not-terminated"]


def failures_reach_the_report(template: Template) -> bool:
    return all(step(template, name).get("continueOn") == {"failed": True, "error": True} for name in STEPS)


def the_report_ends_every_run(template: Template) -> bool:
    return template["spec"].get("hooks") == {"exit": {"template": "report"}}


def a_report_is_never_repeated(template: Template) -> bool:
    return "retryStrategy" not in part(template, "report")


def termination_fails_the_run(template: Template) -> bool:
    gate = steps(template)[-1]
    duration = part(template, gate["template"]).get("suspend", {}).get("duration")
    return duration == "1s" and set(gate) == {"name", "template"}


def lost_steps_start_again(template: Template) -> bool:
    again = ", ".join(str(int(code)) for code in RETRIED)
    expected = {
        "limit": "50",
        "retryPolicy": "Always",
        "expression": f"lastRetry.status == 'Error' || asInt(lastRetry.exitCode) in [{again}]",
        "backoff": {"duration": "5s", "factor": "2", "cap": "2m"},
    }
    return all(part(template, name).get("retryStrategy") == expected for name in STEPS)


def every_output_has_a_default(template: Template) -> bool:
    wanted = {"preflight": ["decision", "summary"], "control-plane": ["summary"], "workers": ["summary"]}
    outputs = {name: part(template, name).get("outputs", {}).get("parameters", []) for name in wanted}
    return {name: names(found) for name, found in outputs.items()} == wanted and all(
        output["valueFrom"].get("default") and output["valueFrom"]["path"] == f"/tmp/outputs/{output['name']}"
        for found in outputs.values()
        for output in found
    )


def an_unknown_decision_never_rolls(template: Template) -> bool:
    (decision, _) = part(template, "preflight")["outputs"]["parameters"]
    return decision["valueFrom"].get("default") == "unknown"


def a_lost_decision_never_waits(template: Template) -> bool:
    """A plain tag for outputs that do not exist is looked for again for ever (seen on 3.7.18)."""
    tags = [tag for name in STEPS for tag in TAG.findall(step(template, name).get("when", ""))]
    return DECISION in tags and not any(".outputs." in tag for tag in tags)


def every_step_gets_every_knob(template: Template) -> bool:
    """In the order of the table, with a value, so that each template may be the entrypoint."""
    own = {
        "contract": CONTRACT,
        "workflowName": "{{workflow.name}}",
        "workflowNamespace": "{{workflow.namespace}}",
        "workflowUid": "{{workflow.uid}}",
    }
    asked = {knob.name: f"{{{{workflow.parameters.{knob.name}}}}}" for knob in ASKED}
    wanted = [{"name": name, "value": value} for name, value in (asked | own).items()]
    return [*asked, *own, "nodeName"] == names([{"name": knob.name} for knob in KNOBS]) and all(
        part(template, verb)["inputs"]["parameters"] == wanted for verb in VERBS
    )


def steps_know_their_node(template: Template) -> bool:
    node = {"name": "CAPI_ROLLOUT_NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    return all(part(template, verb)["script"].get("env") == [node] for verb in VERBS)


def parameters_are_data(template: Template) -> bool:
    return all(
        part(template, verb)["script"]["source"] == "{{inputs.parameters}}"
        and part(template, verb)["script"]["command"] == ["python", "-m", "guards", verb]
        and "args" not in part(template, verb)["script"]
        for verb in VERBS
    )


def tags_only_where_they_are_data(template: Template) -> bool:
    allowed = {"value", "when", "source", "annotations", "labels", "mutexes"}
    return not [path for path, text in texts(template) if "{{" in text and not allowed & set(path)]


def tags_name_real_parameters(template: Template) -> bool:
    """argo lint lets others pass on a template: they could come with the submission. Ours never do."""
    known = {f"workflow.parameters.{name}" for name in names(template["spec"]["arguments"]["parameters"])}
    tags = {tag for _, text in texts(template) for tag in TAG.findall(text)}
    return {tag for tag in tags if tag.startswith("workflow.parameters")} <= known


def arguments_are_the_knobs(template: Template) -> bool:
    arguments = template["spec"]["arguments"]["parameters"]
    return arguments == [
        {"name": knob.name, "description": knob.help}
        | ({} if knob.default is None else {"value": knob.default})
        | ({"enum": list(knob.choices)} if knob.choices else {})
        for knob in ASKED
    ]


def pods_are_restricted(template: Template) -> bool:
    pod = template["spec"]["securityContext"]
    container = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    return (
        pod.get("runAsNonRoot") is True
        and pod.get("runAsUser") == 65532
        and pod.get("seccompProfile") == {"type": "RuntimeDefault"}
        and all(part(template, verb)["script"].get("securityContext") == container for verb in VERBS)
    )


def memory_is_bounded_and_the_cpu_is_not(template: Template) -> bool:
    resources = [part(template, verb)["script"]["resources"] for verb in VERBS]
    return all(found["limits"] == {"memory": "256Mi"} and "cpu" in found["requests"] for found in resources)


def tmp_can_be_written(template: Template) -> bool:
    return all(
        {"name": "tmp", "mountPath": "/tmp"} in part(template, verb)["script"]["volumeMounts"]
        and {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}} in part(template, verb)["volumes"]
        for verb in VERBS
    )


def steps_leave_a_lost_node_early(template: Template) -> bool:
    tolerations = template["spec"].get("tolerations", [])
    return {toleration["key"]: toleration.get("tolerationSeconds") for toleration in tolerations} == {
        "node.kubernetes.io/not-ready": 30,
        "node.kubernetes.io/unreachable": 30,
    }


def a_drain_is_never_blocked(template: Template) -> bool:
    return "podDisruptionBudget" not in template["spec"]


def old_runs_and_pods_go(template: Template) -> bool:
    spec = template["spec"]
    return (
        spec.get("podGC") == {"strategy": "OnPodSuccess"}
        and spec.get("ttlStrategy") == {"secondsAfterCompletion": 604_800}
        and spec.get("activeDeadlineSeconds") == 172_800
    )


def runs_can_be_told_apart(template: Template) -> bool:
    spec = template["spec"].get("workflowMetadata", {})
    return spec.get("labels") == {
        "capi-rollout/cluster": "{{workflow.parameters.clusterName}}",
        "capi-rollout/namespace": "{{workflow.parameters.clusterNamespace}}",
        "capi-rollout/scope": "{{workflow.parameters.scope}}",
    } and {"workflows.argoproj.io/title", "workflows.argoproj.io/description"} == set(spec.get("annotations", {}))


def display_names_are_legal(template: Template) -> bool:
    key = "workflows.argoproj.io/display-name"
    shown = [part(template, verb).get("annotations", {}).get(key, "") for verb in VERBS]
    return all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,61}[A-Za-z0-9]", name) for name in shown)


def everybody_runs_as_the_runner(template: Template) -> bool:
    mine = [part(template, verb).get("serviceAccountName") for verb in VERBS]
    return template["spec"].get("serviceAccountName") == "capi-rollout-runner" and mine == [None] * 4


def nothing_is_null(template: Template) -> bool:
    def nodes(node: Any) -> Iterator[Any]:
        yield node
        for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            yield from nodes(value)

    return not any(node is None or node == "null" for node in nodes(template))
