"""One management cluster for all tests of this folder: brought up once, overlay applied once, taken down at the end.

CAPI_ROLLOUT_TEST_KUBECONFIG names another cluster to use instead (Argo and Cluster API with in-memory machines in it).
CAPI_ROLLOUT_KEEP=1 leaves the cluster running. Without a cluster these tests fail, they never skip by themselves.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.cluster import lab, lifecycle, pods
from ci.cluster.settings import KUBECONFIG
from ci.image.build import build
from tests.cluster.management import SITE, TALOS_LAB, Management
from workflows.export import export
from workflows.site import load


@pytest.fixture(scope="session")
def management(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Management]:
    """The cluster at level capi, with the exported WorkflowTemplate and RBAC applied unedited."""
    given = os.environ.get("CAPI_ROLLOUT_TEST_KUBECONFIG")
    if given:
        image = build()
    else:
        lifecycle.up("capi", TALOS_LAB)
        image = pods.step_image()
    folder = tmp_path_factory.mktemp("site")
    export(load(SITE), folder)
    found = Management(Path(given or KUBECONFIG), folder, image.reference, image.manifest, image.archive)
    install(found)
    begin_labs(request.session.items)
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


def begin_labs(items: list[pytest.Item]) -> None:
    """Let the labs of all modules that will run boot side by side: one after the other they cost minutes each."""
    modules = dict.fromkeys(item.module for item in items if isinstance(item, pytest.Function))
    for kind, name in (one for module in modules for one in getattr(module, "LABS", ())):
        lab.create(kind, name)
