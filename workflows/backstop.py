"""The backstop: a CronWorkflow that starts the runs whose event got lost. Off unless the site asks for it.

Argo Events forgets an event that it could not publish, and one that came while nobody listened. This looks every ten
minutes at the TalosControlPlanes themselves, under an account of its own. The work is a WorkflowTemplate, so that it
runs where Argo accepts references only (templateReferencing: Strict).
"""

from hera.workflows import CronWorkflow, WorkflowTemplate, models
from hera.workflows.parameter import Parameter

from guards.parameters import CONTRACT
from workflows.manifests import BACKSTOP, PART_OF, Manifest
from workflows.site import Site
from workflows.steps import pod, script, summary
from workflows.template import DAY, in_reading_order, names_first

VERB = "backstop"


def workflow_template(site: Site) -> Manifest:
    """One step: `python -m guards backstop`."""
    with WorkflowTemplate(
        name=BACKSTOP,
        namespace=site.argo.namespace,
        labels=dict(PART_OF),
        annotations={
            "workflows.argoproj.io/title": "CAPI rollout backstop",
            "workflows.argoproj.io/description": "Starts the run of a TalosControlPlane whose event got lost.",
        },
        entrypoint=VERB,
        service_account_name=BACKSTOP,
        ttl_strategy=models.TTLStrategy(seconds_after_completion=DAY),
        active_deadline_seconds=10 * 60,
        **pod(),
    ) as template:
        script(site, VERB, _inputs(site), outputs=[summary()])  # constructing it in this context adds it
    return in_reading_order(template.to_dict())


def cron_workflow(site: Site) -> Manifest:
    """Every ten minutes, one at a time. Of the good rounds one is kept, of the bad ones three."""
    cron = CronWorkflow(
        name=BACKSTOP,
        namespace=site.argo.namespace,
        labels=dict(PART_OF),
        schedules=["*/10 * * * *"],
        concurrency_policy="Forbid",
        successful_jobs_history_limit=1,
        failed_jobs_history_limit=3,
        workflow_template_ref=models.WorkflowTemplateRef(name=BACKSTOP),
    )
    manifest: Manifest = names_first(cron.to_dict())
    return manifest


def _inputs(site: Site) -> list[Parameter]:
    values = {
        "namespaces": ",".join(site.namespaces),
        "workflowNamespace": "{{workflow.namespace}}",
        "contract": CONTRACT,
    }
    return [Parameter(name=name, value=value) for name, value in values.items()]
