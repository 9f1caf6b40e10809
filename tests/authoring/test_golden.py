"""The committed overlay is what the site file says, byte for byte, and nobody's own files are touched."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workflows import reference
from workflows.export import HandWritten, export
from workflows.overlay import HEADER, rendered, starters
from workflows.site import Site

RUNBOOK_FILES = (
    "argo-workflows/capi-rollout-workflowtemplate.yaml",
    "capi-rollout/event-source-capi-rollout.yaml",
    "capi-rollout/sensor-capi-rollout.yaml",
    "homelab/talos-config-template.yaml",
    "homelab/machine-deployment.yaml",
    "homelab/talos-control-plane.yaml",
)
YOURS = (
    "argo-workflows/kustomization.yaml",
    "homelab/kustomization.yaml",
    "homelab/cluster.yaml",
    "homelab/machine-templates.yaml",
    "homelab/server-classes.yaml",
)
"""What a user writes: export leaves these alone."""


def test_the_committed_overlay_is_the_export(site: Site, repository: Path) -> None:
    exported = export(site, repository, check=True)

    assert [change.diff() for change in exported.changes] == [], "stale: run `python -m workflows export`"
    assert (exported.todos, exported.notes) == ((), ())
    committed = {path.relative_to(repository) for path in (repository / "overlay").rglob("*") if path.is_file()}
    assert committed - {Path(path) for path in exported.files} == {Path("overlay/management") / name for name in YOURS}


def test_the_runbook_finds_its_files(site: Site) -> None:
    assert {f"overlay/management/{name}" for name in RUNBOOK_FILES} <= {str(path) for path in rendered(site)}


def test_the_parameter_table_is_current(repository: Path) -> None:
    committed = (repository / "docs/parameters.md").read_text()

    assert committed == reference.parameters(), "stale: run `python -m workflows.reference > docs/parameters.md`"


def test_export_writes_once_and_then_changes_nothing(site: Site, tmp_path: Path) -> None:
    first = export(site, tmp_path)
    second = export(site, tmp_path)

    everything = rendered(site) | starters(site)
    assert {change.verb for change in first.changes} == {"create"}
    assert len(first.changes) == len(first.files) == len(everything)
    assert (second.changes, second.todos, second.notes) == ((), (), ())
    assert all((tmp_path / path).read_bytes() == text.encode() for path, text in everything.items())


def test_check_reports_one_changed_byte_and_writes_nothing(site: Site, tmp_path: Path) -> None:
    export(site, tmp_path)
    target = tmp_path / "overlay/management/capi-rollout/rbac.yaml"
    target.write_text(target.read_text() + "\n")

    (change,) = export(site, tmp_path, check=True).changes

    assert (change.verb, str(change.path)) == ("update", "overlay/management/capi-rollout/rbac.yaml")
    assert change.diff().splitlines()[-1] == "-"
    assert target.read_text().endswith("\n\n")


@pytest.mark.parametrize("check", [True, False])
def test_a_hand_written_file_stops_the_export_before_anything_is_written(
    site: Site, tmp_path: Path, check: bool
) -> None:
    mine = tmp_path / "overlay/management/homelab/talos-control-plane.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("kind: TalosControlPlane\n" + HEADER)

    with pytest.raises(HandWritten, match=r"homelab/talos-control-plane\.yaml was not generated"):
        export(site, tmp_path, check=check)

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]
    assert mine.read_text() == "kind: TalosControlPlane\n" + HEADER


def test_our_files_of_yesterday_go_and_other_files_stay(site: Site, rich_site: Site, tmp_path: Path) -> None:
    export(rich_site, tmp_path)
    mine = tmp_path / "overlay/management/argo-workflows/talos.sops.yaml"
    mine.write_text("kind: Secret\n")

    deleted = [change.path for change in export(site, tmp_path).changes if change.verb == "delete"]

    assert {path.relative_to("overlay/management").as_posix() for path in deleted} == {
        "argo-workflows/capi-rollout-secret-generator.yaml",
        "argo-workflows/capi-rollout-backstop-workflowtemplate.yaml",
        "capi-rollout/event-bus-capi-rollout.yaml",
        "capi-rollout/cron-workflow-capi-rollout.yaml",
    }
    assert not [path for path in deleted if (tmp_path / path).exists()]
    assert mine.read_text() == "kind: Secret\n"


def test_the_bytes_do_not_depend_on_the_hash_seed(repository: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from workflows import overlay, site; "
        "sys.stdout.write(repr(overlay.rendered(site.load(Path('rollout.yaml')))))"
    )
    first, second = (
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=repository,
            env=os.environ | {"PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
        )
        for seed in ("1", "4711")
    )
    texts = first.communicate()[0], second.communicate()[0]

    assert (first.returncode, second.returncode) == (0, 0)
    assert texts[0] == texts[1]
    assert b"capi-rollout-orchestrator" in texts[0]
