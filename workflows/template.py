"""The WorkflowTemplate `capi-rollout-orchestrator`: preflight, control plane, workers, and a report at the end."""

from typing import Any

from hera.workflows import Script, Steps, Suspend, WorkflowTemplate, models
from hera.workflows.parameter import Parameter

from guards.naming import RUN_KEPT, RUN_LABELS, WORKFLOW_TEMPLATE
from guards.parameters import ASKED, Knob, Scope
from workflows.manifests import PART_OF, RUNNER, Manifest
from workflows.site import Site
from workflows.steps import output, pod, step, summary

DAY = 24 * 60 * 60
"""Seconds."""

LOCK_NAMESPACE = "capi-rollout"
"""Part of the lock's key only, so that runs in different namespaces share it; no such namespace needs to exist."""

CLUSTER = "{{workflow.parameters.clusterNamespace}}/{{workflow.parameters.clusterName}}"

# Parameters are text pasted into an expression: unquoted, `control-plane` is a subtraction.
# A preflight whose pod was lost has no outputs at all; a plain reference to them would make Argo wait for ever.
ROLL = "'{{=steps.preflight.outputs?.parameters?.decision ?? 'unknown'}}' == 'roll'"
CONTROL_PLANE_DONE = "'{{steps.control-plane.status}}' in ('Succeeded', 'Skipped')"


def without(scope: Scope) -> str:
    return f"'{{{{workflow.parameters.scope}}}}' != '{scope}'"


def build(site: Site) -> Manifest:
    """The WorkflowTemplate as Kubernetes takes it."""
    with _workflow_template(site) as template:
        with Steps(name="rollout"):
            _call(step(site, "preflight", output("decision", "unknown"), summary()))
            _call(step(site, "control-plane", summary(), acts=True), ROLL, without(Scope.WORKERS))
            _call(step(site, "workers", summary(), acts=True), ROLL, without(Scope.CONTROL_PLANE), CONTROL_PLANE_DONE)
            _not_terminated()
        step(site, "report", retried=False)  # constructing it in this context adds it
    return in_reading_order(template.to_dict())


def _workflow_template(site: Site) -> WorkflowTemplate:
    return WorkflowTemplate(
        name=WORKFLOW_TEMPLATE,
        namespace=site.argo.namespace,
        labels=dict(PART_OF),
        annotations={
            "workflows.argoproj.io/title": "CAPI rollout",
            "workflows.argoproj.io/description": "Supervises the rollout of one Cluster API cluster without a spare "
            "machine: control plane first, then workers, one run per cluster. Changes no CAPI object.",
        },
        entrypoint="rollout",
        arguments=[_argument(knob, site) for knob in ASKED],
        hooks={"exit": models.LifecycleHook(template="report")},
        synchronization=models.Synchronization(mutexes=[models.Mutex(namespace=LOCK_NAMESPACE, name=CLUSTER)]),
        workflow_metadata=models.WorkflowMetadata(
            annotations={
                "workflows.argoproj.io/title": f"{CLUSTER}: {{{{workflow.parameters.scope}}}}",
                "workflows.argoproj.io/description": "Waits for the CAPI controllers, one machine at a time. "
                "At most {{workflow.parameters.maxConcurrentUnavailable}} down per scope.",
            },
            labels={label: f"{{{{workflow.parameters.{name}}}}}" for label, name in RUN_LABELS.items()},
        ),
        service_account_name=RUNNER,
        **pod(),
        ttl_strategy=models.TTLStrategy(seconds_after_completion=int(RUN_KEPT.total_seconds())),
        active_deadline_seconds=2 * DAY,
    )


def _argument(knob: Knob, site: Site) -> Parameter:
    """A row of the parameter table. Left without a value where one is required: Hera would write 'null'."""
    value = knob.default
    if knob.name == "maxRemediations" and site.remediation.enabled:
        value = "2"
    given: dict[str, Any] = {} if value is None else {"value": value}
    if knob.choices:
        given["enum"] = list(knob.choices)
    return Parameter(name=knob.name, description=knob.help, **given)


def _call(script: Script, *conditions: str) -> None:
    """A step of the list. Its failure does not end the list: the report gives the run its exit code and sentence."""
    script(
        name=script.name,
        when=" && ".join(conditions) or None,
        continue_on=models.ContinueOn(failed=True, error=True),
    )


def _not_terminated() -> None:
    """One second without a pod, that must succeed.

    `argo terminate` skips the exit hook, and the steps before let the list go on after a failure: without this step a
    run that was shot down in mid-roll would be Succeeded. A shutdown fails every suspended node.
    """
    Suspend(name="not-terminated", duration="1s")(name="not-terminated")


def in_reading_order(template: Manifest) -> Manifest:
    """Names first, what a run may be told next, the long list of templates last."""
    spec = names_first(template["spec"])
    ordered = {key: spec.pop(key) for key in ("entrypoint", "arguments") if key in spec}
    templates = spec.pop("templates")
    return {**names_first(template), "spec": {**ordered, **spec, "templates": templates}}


def names_first(part: Any) -> Any:
    if isinstance(part, list):
        return [names_first(item) for item in part]
    if isinstance(part, dict):
        head = {key: part[key] for key in ("name", "template") if key in part}
        return head | {key: names_first(value) for key, value in part.items()}
    return part
