"""Start a run by hand: a Workflow with nothing but a reference to the WorkflowTemplate, arguments and metadata.

Argo allows no more than that when it is set to accept references only (templateReferencing: Strict), and everything
else is the template's business anyway.
"""

from guards.exits import Exit
from guards.kube.access import WORKFLOW, WORKFLOW_TEMPLATE_KIND, Kind
from guards.kube.client import Client
from guards.kube.errors import Forbidden, NotFound, NotServed, Unreachable
from guards.kube.ports import Object
from guards.naming import RUN_LABELS, WORKFLOW_TEMPLATE
from workflows.console import Problem
from workflows.options import Target

APPLY = "kubectl apply -k overlay/management/argo-workflows"


def labels(target: Target) -> dict[str, str]:
    """The labels of a run; the template sets the same ones on runs that the trigger starts."""
    values = target.parameters.model_dump(mode="json", by_alias=True)
    return {label: values[name] for label, name in RUN_LABELS.items()}


def submission(target: Target) -> Object:
    """The Workflow to create. Only arguments that were given: the template knows the site's defaults."""
    arguments = [{"name": name, "value": value} for name, value in target.given.items()]
    return {
        "apiVersion": f"{WORKFLOW.group}/{WORKFLOW.versions[0]}",
        "kind": WORKFLOW.name,
        "metadata": {
            # Argo wants names of at most 63 characters; the API server adds five.
            "generateName": f"capi-{target.parameters.cluster_name[:40].rstrip('-')}-",
            "namespace": target.namespace,
            "labels": labels(target),
        },
        "spec": {"workflowTemplateRef": {"name": WORKFLOW_TEMPLATE}, "arguments": {"parameters": arguments}},
    }


def submit(client: Client, target: Target, body: Object, *, dry_run: bool) -> Object:
    """Check that the template is there and fits, then create the Workflow: one request, never repeated."""
    check_template(_template(client, target.namespace), target)
    try:
        return client.create(WORKFLOW, target.namespace, body, dry_run=dry_run)
    except Forbidden as error:
        raise _denied("create", WORKFLOW, target.namespace, error) from error
    except Unreachable as error:
        selector = f"capi-rollout/cluster={target.parameters.cluster_name}"
        look = f"kubectl -n {target.namespace} get workflows -l {selector}"
        raise Problem(Exit.UNREACHABLE, f"{error}. Next, before submitting again: {look}") from error


def _template(client: Client, namespace: str) -> Object:
    try:
        return client.get(WORKFLOW_TEMPLATE_KIND, namespace, WORKFLOW_TEMPLATE)
    except NotServed as error:
        text = f"{client.connection.server} does not run Argo Workflows: {error}. Next: check --context"
        raise Problem(Exit.CONTRACT, text) from error
    except NotFound as error:
        text = f"there is no WorkflowTemplate {WORKFLOW_TEMPLATE} in namespace {namespace}. Next: {APPLY}, or pass -n"
        raise Problem(Exit.CONTRACT, text) from error
    except Forbidden as error:
        raise _denied("get", WORKFLOW_TEMPLATE_KIND, namespace, error) from error


def check_template(template: Object, target: Target) -> None:
    """Every argument must be a parameter of the template: Argo would silently ignore one that it does not know."""
    spec = template.get("spec") or {}
    known = {row.get("name") for row in (spec.get("arguments") or {}).get("parameters") or []}
    unknown = [name for name in target.given if name not in known]
    if unknown:
        raise Problem(
            Exit.CONTRACT,
            f"the WorkflowTemplate {target.namespace}/{WORKFLOW_TEMPLATE} has no parameter {', '.join(unknown)}: "
            f"it is of another release. Next: python -m workflows export && {APPLY}",
        )


def _denied(verb: str, kind: Kind, namespace: str, error: Forbidden) -> Problem:
    resource = f"{kind.plural}.{kind.group}"
    return Problem(
        Exit.FORBIDDEN,
        f"not permitted: {verb} {resource} in namespace {namespace} ({error}). "
        f"Next: kubectl auth can-i {verb} {resource} -n {namespace}",
    )
