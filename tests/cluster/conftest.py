"""One management cluster for all tests of this folder: brought up once, overlay applied once, taken down at the end.

CAPI_ROLLOUT_TEST_KUBECONFIG names another cluster to use instead (Argo and Cluster API with in-memory machines in it).
CAPI_ROLLOUT_KEEP=1 leaves the cluster running. Without a cluster these tests fail, they never skip by themselves.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ci.cluster import lab, lifecycle, pods
from ci.cluster.settings import KUBECONFIG
from ci.image.build import build
from tests.cluster import remediating
from tests.cluster.management import SITE, TALOS_LAB, Management
from tests.cluster.stage import Stage
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


@pytest.fixture(scope="session")
def remediating_template(management: Management, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The template whose steps may act, applied as `remediating.TEMPLATE`."""
    remediating.install(management, tmp_path_factory.mktemp("remediating"))


STUCK = tuple(f"stuck-{number}" for number in range(1, 6))
"""Labs whose machines get stuck: they take turns at all scenarios of the session."""


@pytest.fixture(scope="session")
def stage(management: Management, remediating_template: None, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """All scenarios that the tests of this session ask for have begun."""
    wanted = [marker.args[0] for item in request.session.items if (marker := item.get_closest_marker("plays"))]
    found = Stage(management, STUCK)
    found.begin(wanted)
    yield found
    found.close()


@pytest.fixture(scope="session", autouse=True)
def early(request: pytest.FixtureRequest) -> None:
    """The scenarios play from the first test on, beside all others: they are mostly waited for."""
    if any(item.get_closest_marker("plays") for item in request.session.items):
        request.getfixturevalue("stage")


@pytest.fixture
def played(stage: Stage, request: pytest.FixtureRequest) -> Any:
    """What the scenario of this test returned."""
    return stage.outcome(request.node.get_closest_marker("plays").args[0])


def install(management: Management) -> None:
    """What Argo CD would do: build the overlays and apply them."""
    overlay = management.folder / "overlay/management"
    management.apply(management.built(overlay / "argo-workflows"))
    management.apply((overlay / "capi-rollout/rbac.yaml").read_text())


def begin_labs(items: list[pytest.Item]) -> None:
    """Let the labs of all modules that will run boot side by side: one after the other they cost minutes each."""
    modules = dict.fromkeys(item.module for item in items if isinstance(item, pytest.Function))
    for kind, name in (one for module in modules for one in getattr(module, "LABS", ())):
        lab.create(kind, name)
