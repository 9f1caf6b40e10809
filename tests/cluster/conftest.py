"""One management cluster for all tests of this folder: brought up once, overlay applied once, taken down at the end.

CAPI_ROLLOUT_TEST_KUBECONFIG names another cluster to use instead (Argo and Cluster API with in-memory machines in it).
CAPI_ROLLOUT_KEEP=1 leaves the cluster running. Without a cluster these tests fail, they never skip by themselves.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.cluster import lifecycle, pods
from ci.cluster.settings import KUBECONFIG
from ci.image.build import build
from tests.cluster.management import SITE, Labs, Management
from workflows.export import export
from workflows.site import load


@pytest.fixture(scope="session")
def management(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Management]:
    """The cluster at level capi, with the exported WorkflowTemplate and RBAC applied unedited."""
    given = os.environ.get("CAPI_ROLLOUT_TEST_KUBECONFIG")
    if given:
        image = build()
    else:
        lifecycle.up("capi", ("--node-ready", "0s", "--reboot", "15s", "--boot", "3s"))
        image = pods.step_image()
    folder = tmp_path_factory.mktemp("site")
    export(load(SITE), folder)
    found = Management(Path(given or KUBECONFIG), folder, image.reference, image.manifest, image.archive)
    install(found)
    yield found
    if not given and os.environ.get("CAPI_ROLLOUT_KEEP") != "1":
        lifecycle.down(purge=False)


def install(management: Management) -> None:
    """What Argo CD would do: build the overlays and apply them. Only the image differs, set by kustomize."""
    overlay = management.folder / "overlay/management"
    pinned = management.folder / "pinned"
    shutil.copytree(overlay / "argo-workflows", pinned)
    name = f"ghcr.io/capi-rollout/guards={management.image}"
    management.run("sh", "-c", f"cd {pinned} && kustomize edit set image {name}")
    management.apply(management.run("kustomize", "build", str(pinned)).stdout)
    rbac = (overlay / "capi-rollout/rbac.yaml").read_text()
    management.apply(rbac)


@pytest.fixture
def labs(management: Management) -> Iterator[Labs]:
    """Workload clusters for one test; deleted afterwards."""
    made = Labs(management)
    yield made
    made.delete_all()
