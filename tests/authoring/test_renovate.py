"""The image pin as Renovate finds it without configuration; how far that is shown: renovate.py."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.authoring.renovate import Dependency, bumped, found
from workflows.export import export
from workflows.kustomize import pin
from workflows.site import Image, Site

PATH = Path("overlay/management/argo-workflows/kustomization.yaml")
OLD, NEW = "sha256:" + "0123456789abcdef" * 4, "sha256:" + "fedcba9876543210" * 4
NAME = "ghcr.io/capi-rollout/guards"


@pytest.fixture(params=[None, OLD], ids=["tag", "tag@digest"])
def pinned(request: pytest.FixtureRequest, site: Site, tmp_path: Path) -> tuple[Site, Path]:
    """A repository with an export of a site that pins by tag, or by tag and digest."""
    chosen = site.model_copy(update={"image": Image(name=NAME, tag="0.1.0", digest=request.param)})
    export(chosen, tmp_path)
    return chosen, tmp_path


def images(kustomize: str, root: Path) -> list[str]:
    done = subprocess.run([kustomize, "build", str(root / PATH.parent)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    (template,) = yaml.safe_load_all(done.stdout)
    return [part["script"]["image"] for part in template["spec"]["templates"] if "script" in part]


def test_exactly_one_file_pins_the_image_and_renovate_reads_it(pinned: tuple[Site, Path]) -> None:
    site, root = pinned
    texts = {str(path.relative_to(root)): path.read_text() for path in root.rglob("*.yaml")}

    seen = {path: dependencies for path, text in texts.items() if (dependencies := found(path, text))}

    tag = "0.1.0" + (f"@{site.image.digest}" if site.image.digest else "")
    assert seen == {str(PATH): [Dependency(NAME, "0.1.0", site.image.digest, tag)]}


def test_an_update_survives_the_next_export(pinned: tuple[Site, Path]) -> None:
    """And is told: the site file still names the version of the first export."""
    site, root = pinned
    text = (root / PATH).read_text()
    (dependency,) = found(str(PATH), text)
    (root / PATH).write_text(bumped(text, dependency, "0.2.0", site.image.digest and NEW))

    exported = export(site, root)

    assert (exported.changes, exported.todos) == ((), ())
    (note,) = exported.notes
    assert "pins ghcr.io/capi-rollout/guards at 0.2.0" in note
    (after,) = found(str(PATH), (root / PATH).read_text())
    assert (after.version, after.digest) == ("0.2.0", site.image.digest and NEW)


def test_every_step_runs_the_updated_image(pinned: tuple[Site, Path], kustomize: str) -> None:
    _, root = pinned
    text = (root / PATH).read_text()
    (dependency,) = found(str(PATH), text)
    (root / PATH).write_text(bumped(text, dependency, "0.2.0", NEW))

    assert images(kustomize, root) == [f"{NAME}:0.2.0@{NEW}"] * 4


def test_two_fields_would_be_skipped() -> None:
    """Why the pin is one field."""
    both: dict[str, Any] = {"images": [{"name": NAME, "newTag": "0.1.0", "digest": OLD}]}
    one = {"images": [pin(Image(name=NAME, tag="0.1.0", digest=OLD))]}

    assert found(str(PATH), yaml.safe_dump(both)) == []
    assert [each.digest for each in found(str(PATH), yaml.safe_dump(one))] == [OLD]
