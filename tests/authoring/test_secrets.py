"""The overlay with secrets, built by the real kustomize and opened by the real sops and age; ksops is a stand-in."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.authoring.encrypted import FILE, SECRET, Encrypted, encrypted
from workflows.site import Site

BUILD = ("build", "--enable-alpha-plugins", "--enable-exec")


@pytest.fixture(scope="module")
def repository(site: Site, tmp_path_factory: pytest.TempPathFactory, tool: Callable[[str], str]) -> Encrypted:
    return encrypted(site, tmp_path_factory.mktemp("secrets"), tool)


def test_what_is_committed_is_encrypted(repository: Encrypted) -> None:
    text = (repository.overlay / FILE).read_text()
    assert yaml.safe_load(text)["stringData"]["default.homelab"].startswith("ENC[AES256_GCM,")
    assert "context: homelab" not in text
    files = [path for path in repository.root.rglob("*") if path.is_file()]
    assert [path for path in files if b"context: homelab" in path.read_bytes()] == []


def test_the_secret_is_in_the_output(repository: Encrypted, kustomize: str) -> None:
    done = repository.run(kustomize, *BUILD, str(repository.overlay))

    assert (done.returncode, done.stderr) == (0, "")
    built = {document["kind"]: document for document in yaml.safe_load_all(done.stdout)}
    assert set(built) == {"WorkflowTemplate", "Secret"}
    assert built["Secret"] == SECRET


def test_without_the_key_the_build_fails_and_says_which_file(repository: Encrypted, kustomize: str) -> None:
    done = repository.run(kustomize, *BUILD, str(repository.overlay), key=False)

    assert done.returncode != 0
    assert done.stdout == ""
    assert FILE in done.stderr


def test_without_the_flags_the_build_fails(repository: Encrypted, kustomize: str) -> None:
    done = repository.run(kustomize, "build", str(repository.overlay))

    assert (done.returncode != 0, done.stdout) == (True, "")
    assert "plugin" in done.stderr


def test_kubectl_leaves_the_secret_out_without_a_word(repository: Encrypted, tool: Callable[[str], str]) -> None:
    """Its kustomize has no --enable-exec: rc 0, no warning, no Secret. An exit code is no proof of an overlay."""
    done = repository.run(tool("kubectl"), "kustomize", "--enable-alpha-plugins", str(repository.overlay))

    assert (done.returncode, done.stderr) == (0, "")
    assert [document["kind"] for document in yaml.safe_load_all(done.stdout)] == ["WorkflowTemplate"]


def test_nothing_of_it_is_in_the_committed_example(site: Site) -> None:
    folder = Path(__file__).parents[2] / "overlay"
    assert site.secrets == ()
    assert [path for path in folder.rglob("*") if "sops" in path.name or "secret" in path.name] == []
