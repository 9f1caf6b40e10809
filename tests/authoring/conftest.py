"""The example site, its exported files as objects, and the tools and schemas that check them.

Schemas and kustomize are other people's work and not part of this repository: they come from the Go module cache
(../conftest.py) and from the test cluster's tools. Without them these tests are skipped on a laptop, and fail in CI and
with --cluster.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from workflows.overlay import rendered
from workflows.site import Site, load

REPOSITORY = Path(__file__).parents[2]
TOOLS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "capi-rollout" / "bin"

Documents = dict[str, list[dict[str, Any]]]
"""File name below overlay/management -> its documents."""


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def site() -> Site:
    return load(REPOSITORY / "rollout.yaml")


@pytest.fixture(scope="session")
def rich_site(site: Site) -> Site:
    """A site that uses every switch: remediation, two namespaces, a digest, secrets, an own EventBus, the backstop."""
    document = site.model_dump(by_alias=True)
    other = document["clusters"][0] | {"name": "lab", "namespace": "lab", "overlay": None}
    other["infrastructure"] = other["infrastructure"] | {"machines": "DevMachine", "templates": "DevMachineTemplate"}
    return Site.model_validate(
        document
        | {
            "clusters": [document["clusters"][0], other],
            "image": document["image"] | {"digest": "sha256:" + "0123456789abcdef" * 4},
            "remediation": {"enabled": True},
            "secrets": ["talos.sops.yaml"],
            "events": {"eventBus": {"name": "rollouts", "jetstream": {"version": "2.10.29", "volumeSize": "1Gi"}}},
            "backstop": True,
        }
    )


@pytest.fixture(scope="session")
def parsed() -> Callable[[Site], Documents]:
    """The exported files of a site, read back with an ordinary YAML parser."""

    def read(site: Site) -> Documents:
        return {
            str(path.relative_to("overlay/management")): list(yaml.safe_load_all(text))
            for path, text in rendered(site).items()
        }

    return read


@pytest.fixture(scope="session")
def files(site: Site, parsed: Callable[[Site], Documents]) -> Documents:
    return parsed(site)


@pytest.fixture(scope="session")
def rich_files(rich_site: Site, parsed: Callable[[Site], Documents]) -> Documents:
    return parsed(rich_site)


@pytest.fixture(scope="session")
def template(files: Documents) -> dict[str, Any]:
    return files["argo-workflows/capi-rollout-workflowtemplate.yaml"][0]


@pytest.fixture(scope="session")
def pins() -> dict[str, str]:
    """Versions of the test cluster."""
    lines = (REPOSITORY / "ci/cluster/versions.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.fixture(scope="session")
def tool(must_have: Callable[[str], Any]) -> Callable[[str], str]:
    """Path of a program that the test cluster brings along, or that is on PATH."""

    def path(name: str) -> str:
        found = shutil.which(name, path=f"{TOOLS}{os.pathsep}{os.environ['PATH']}")
        if not found:
            must_have(f"no {name} on PATH or in {TOOLS}")
        assert found
        return found

    return path


@pytest.fixture(scope="session")
def kustomize(tool: Callable[[str], str]) -> str:
    return tool("kustomize")
