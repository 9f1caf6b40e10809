"""Export into a GitOps repository that exists: beside the user's files, and what it leaves to the user is exact."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from workflows.export import Unreadable, export
from workflows.overlay import HEADER
from workflows.site import Site

MANAGEMENT = Path("overlay/management")
MINE = {
    "argo-workflows/kustomization.yaml": "# Argo Workflows itself\nnamespace: argo\nresources:\n- ./install.yaml\n",
    "argo-workflows/install.yaml": "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: argo\n",
    "homelab/kustomization.yaml": "resources:\n- cluster.yaml\n- ./machine-deployment.yaml",
    "homelab/cluster.yaml": "apiVersion: cluster.x-k8s.io/v1beta2\nkind: Cluster\nmetadata:\n  name: homelab\n",
    "capi-rollout/README.md": "ours\n",
}


@pytest.fixture
def gitops(tmp_path: Path) -> Path:
    """A repository of somebody who has had Argo Workflows and the cluster in it for years."""
    for name, text in MINE.items():
        path = tmp_path / MANAGEMENT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def edited(root: Path, path: Any, add: dict[str, Any], remove: dict[str, Any]) -> None:
    """Do in the user's kustomization what export said."""
    content = yaml.safe_load((root / path).read_text())
    for key, entries in add.items():
        content[key] = [*content.get(key, []), *entries]
    for key, entries in remove.items():
        content[key] = [entry for entry in content[key] if entry not in entries]
    (root / path).write_text(yaml.safe_dump(content))


def test_it_writes_beside_the_users_files_and_touches_none(site: Site, gitops: Path) -> None:
    exported = export(site, gitops)

    assert {name: (gitops / MANAGEMENT / name).read_text() for name in MINE} == MINE
    assert {change.verb for change in exported.changes} == {"create"}
    others = [path for path in gitops.rglob("*.yaml") if str(path.relative_to(gitops / MANAGEMENT)) not in MINE]
    assert len(others) == len(exported.files) == len(exported.changes) > 0
    assert all(path.read_text().startswith(HEADER) for path in others)


def test_it_says_exactly_what_to_add(site: Site, gitops: Path) -> None:
    todos = {str(todo.path.relative_to(MANAGEMENT)): todo for todo in export(site, gitops).todos}

    assert set(todos) == {"argo-workflows/kustomization.yaml", "homelab/kustomization.yaml"}
    assert todos["homelab/kustomization.yaml"].add == {
        "resources": ["talos-config-template.yaml", "talos-control-plane.yaml"]
    }
    assert todos["argo-workflows/kustomization.yaml"].text() == (
        "overlay/management/argo-workflows/kustomization.yaml is yours and lacks:\n"
        "resources:\n- capi-rollout-workflowtemplate.yaml\n"
        "configurations:\n- capi-rollout-kustomizeconfig.yaml\n"
        'images:\n- name: ghcr.io/capi-rollout/guards\n  newTag: "0.1.0"\n'
    )


def test_the_page_shows_it_as_it_is_said(site: Site, gitops: Path, repository: Path) -> None:
    (todo,) = [todo for todo in export(site, gitops).todos if todo.path.parent.name == "argo-workflows"]

    assert f"```\n{todo.text()}```\n" in (repository / "docs/gitops.md").read_text()


def test_with_these_lines_it_is_complete_and_builds(site: Site, gitops: Path, kustomize: str) -> None:
    for todo in export(site, gitops).todos:
        edited(gitops, todo.path, todo.add, todo.remove)

    exported = export(site, gitops, check=True)
    built = subprocess.run([kustomize, "build", gitops / MANAGEMENT / "argo-workflows"], capture_output=True, text=True)

    assert (exported.changes, exported.todos, exported.notes) == ((), (), ())
    assert [document["kind"] for document in yaml.safe_load_all(built.stdout)] == ["Namespace", "WorkflowTemplate"]


def test_it_says_what_names_a_file_that_is_gone(site: Site, gitops: Path) -> None:
    """kustomize would fail on it at the next sync."""
    mine = gitops / MANAGEMENT / "capi-rollout/kustomization.yaml"
    names = ["README.md", "rbac.yaml", "./sensor-capi-rollout.yaml", "event-source-capi-rollout.yaml"]
    export(site, gitops)
    mine.write_text(yaml.safe_dump({"resources": names}))
    silent = site.model_copy(update={"events": site.events.model_copy(update={"enabled": False})})

    told = [todo for _ in range(2) for todo in export(silent, gitops).todos if todo.path.parent.name == "capi-rollout"]

    assert [(todo.add, todo.remove) for todo in told] == [({}, {"resources": names[2:]})] * 2, "until it is mended"
    assert 'not there:\nresources:\n- "./sensor-capi-rollout.yaml"\n' in told[0].text()


@pytest.mark.parametrize("name", ["kustomization.yml", "Kustomization"])
def test_a_kustomization_under_another_name_is_the_users_too(name: str, site: Site, gitops: Path) -> None:
    """kustomize refuses a folder that has two."""
    folder = gitops / MANAGEMENT / "argo-workflows"
    (folder / "kustomization.yaml").rename(folder / name)

    exported = export(site, gitops)

    assert not (folder / "kustomization.yaml").exists()
    assert MANAGEMENT / "argo-workflows" / name in [Path(todo.path) for todo in exported.todos]


@pytest.mark.parametrize(("text", "reason"), [("resources: [", "not YAML"), ("- a\n", "seen list"), ("", "NoneType")])
def test_a_kustomization_that_cannot_be_read_stops_the_export(text: str, reason: str, site: Site, gitops: Path) -> None:
    """Nobody knows what it lacks."""
    mine = gitops / MANAGEMENT / "homelab/kustomization.yaml"
    mine.write_text(text)
    before = sorted(gitops.rglob("*"))

    with pytest.raises(Unreadable, match=rf"homelab/kustomization\.yaml: .*{reason}.*Nothing was written"):
        export(site, gitops)

    assert sorted(gitops.rglob("*")) == before


def test_a_kustomization_of_ours_follows_the_site(site: Site, tmp_path: Path) -> None:
    """The folders nobody else has a reason to edit: no line is left to the user there."""
    export(site, tmp_path)
    silent = site.model_copy(update={"events": site.events.model_copy(update={"enabled": False})})

    exported = export(silent, tmp_path)

    assert exported.todos == ()
    written = yaml.safe_load((tmp_path / MANAGEMENT / "capi-rollout/kustomization.yaml").read_text())
    assert written["resources"] == ["rbac.yaml"]


def git(root: Path, *arguments: str, stdin: str | None = None) -> str:
    """git, without anybody's configuration."""
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *arguments], cwd=root, input=stdin, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_diff_is_a_patch(rich_site: Site, site: Site, tmp_path: Path, gitops: Path) -> None:
    """Files that are created, changed, deleted, and one without a newline at its end: `git apply` does the export."""
    export(rich_site, gitops)
    changed = gitops / MANAGEMENT / "capi-rollout/rbac.yaml"
    changed.write_text(changed.read_text().replace("- get\n", "- got\n").rstrip("\n"))
    (gitops / MANAGEMENT / "homelab/machine-deployment.yaml").unlink()
    git(gitops, "init", "-q")

    dry = export(site, gitops, check=True)
    patch = "".join(change.diff() for change in dry.changes)
    git(gitops, "apply", "-", stdin=patch)

    assert "--- /dev/null\n+++ b/overlay/management/homelab/machine-deployment.yaml\n" in patch
    assert "--- a/overlay/management/capi-rollout/rbac.yaml\n+++ b/overlay" in patch
    assert "capi-rollout-secret-generator.yaml\n+++ /dev/null\n" in patch
    assert {change.verb for change in dry.changes} == {"create", "update", "delete"}
    assert export(site, gitops, check=True).changes == ()


def test_the_command_prints_that_patch(site: Site, gitops: Path, repository: Path) -> None:
    import sys

    (gitops / "rollout.yaml").write_text((repository / "rollout.yaml").read_text())
    command = [sys.executable, "-m", "workflows", "export", "--site", "rollout.yaml", "--diff"]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    done = subprocess.run(command, cwd=gitops, env=environment, capture_output=True, text=True, check=False)
    git(gitops, "init", "-q")
    git(gitops, "apply", "-", stdin=done.stdout)

    assert done.returncode == 3
    assert export(site, gitops, check=True).changes == ()


def test_the_sites_pin_is_no_longer_told_when_it_is_the_same(site: Site, gitops: Path) -> None:
    def notes(pin: dict[str, str]) -> tuple[str, ...]:
        mine = gitops / MANAGEMENT / "argo-workflows/kustomization.yaml"
        mine.write_text(yaml.safe_dump({"images": [{"name": "ghcr.io/capi-rollout/guards", **pin}, {"name": "other"}]}))
        return export(site, gitops).notes

    assert notes({"newTag": "0.1.0"}) == ()
    (note,) = notes({"newTag": "0.2.0@sha256:" + "a" * 64})
    assert "pins ghcr.io/capi-rollout/guards at 0.2.0@sha256:aaaa" in note
    assert note.endswith("which wins over 0.1.0 of the site file")
    (note,) = notes({"newTag": "0.2.0", "digest": "sha256:" + "a" * 64})
    assert "Renovate skips such an entry" in note
    assert note.endswith('newTag: "0.2.0@sha256:' + "a" * 64 + '"')


def test_secrets_that_come_later_are_a_line_to_add(site: Site, rich_site: Site, tmp_path: Path) -> None:
    export(site, tmp_path)

    (todo,) = export(site.model_copy(update={"secrets": rich_site.secrets}), tmp_path).todos

    assert todo.add == {"generators": ["capi-rollout-secret-generator.yaml"]}
