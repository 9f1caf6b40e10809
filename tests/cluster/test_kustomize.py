"""What `kustomize build` gives Argo CD, taken by the real API server and its webhooks: strictly, as a dry run.

The builds themselves, with secrets and without, need no cluster: tests/authoring/test_overlays.py and test_secrets.py.
"""

import json
from pathlib import Path

import pytest
import yaml

from tests.authoring.encrypted import encrypted
from tests.cluster.management import ROOT, Management, Object
from workflows.site import load

pytestmark = pytest.mark.cluster("capi")

OVERLAYS = {
    "homelab": {"ServerClass", "MetalMachineTemplate", "MetalCluster"},
    "capi-rollout": {"Sensor", "EventSource"},
    "argo-workflows": set[str](),
}
"""Overlay -> kinds that this cluster does not serve: Sidero's, and Argo Events' where that is not installed."""


def taken(management: Management, documents: list[Object]) -> set[str]:
    """Kinds of these objects that the API server takes, each of them as `kubectl apply` would send it."""
    served = management.kubectl("api-resources", "--no-headers").split()
    known = [document for document in documents if document["kind"] in served]
    arguments = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-")
    answer = json.loads(management.kubectl(*arguments, stdin=yaml.safe_dump_all(known)))
    items = answer.get("items", [answer])
    assert len(items) == len(known)
    return {item["kind"] for item in items}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_api_server_takes_what_is_built(management: Management, overlay: str) -> None:
    done = management.run("kustomize", "build", str(ROOT / "overlay/management" / overlay))
    assert done.stderr == ""
    documents = list(yaml.safe_load_all(done.stdout))

    kinds = {document["kind"] for document in documents}

    assert kinds - taken(management, documents) <= OVERLAYS[overlay]


def test_the_api_server_takes_a_secret_that_was_encrypted(management: Management, tmp_path: Path) -> None:
    def tool(name: str) -> str:
        return management.run("sh", "-c", f"command -v {name}").stdout.strip()

    repository = encrypted(load(ROOT / "rollout.yaml"), tmp_path, tool)
    flags = ("--enable-alpha-plugins", "--enable-exec")
    done = repository.run(tool("kustomize"), "build", *flags, str(repository.overlay))
    assert (done.returncode, done.stderr) == (0, "")

    assert taken(management, list(yaml.safe_load_all(done.stdout))) == {"Secret", "WorkflowTemplate"}
