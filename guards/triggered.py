"""The Workflow that a change of a TalosControlPlane starts: the Sensor and the backstop create the same object."""

from collections.abc import Mapping

from guards.kube.access import ARGO, WORKFLOW
from guards.kube.ports import Object
from guards.naming import WORKFLOW_TEMPLATE

ARGUMENTS = ("clusterName", "clusterNamespace", "tcpGeneration")
"""In this order: the Sensor finds them by their position. Each is a parameter of the WorkflowTemplate."""


def triggered_run(name: str, namespace: str, values: Mapping[str, str]) -> Object:
    """Only what `templateReferencing: Strict` lets a submitter set. `values`: one for each of ARGUMENTS."""
    return {
        "apiVersion": f"{ARGO}/{WORKFLOW.versions[0]}",
        "kind": WORKFLOW.name,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "workflowTemplateRef": {"name": WORKFLOW_TEMPLATE},
            "arguments": {"parameters": [{"name": argument, "value": values[argument]} for argument in ARGUMENTS]},
        },
    }
