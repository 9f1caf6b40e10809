"""The step image is keyed by its content, and both recipes make the same one."""

import re
import shutil
from pathlib import Path

import pytest

from ci.image import build, oci

ROOT = Path(__file__).parents[2]
CONTAINERFILE = (ROOT / "ci/image/Containerfile").read_text()


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package, a cache of its own, and a base layer that is small."""
    monkeypatch.setattr(build, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(build, "base", lambda: oci.layer_of_files({"etc/os-release": b"Debian"}, tmp_path / "base.tar"))
    shutil.copytree(ROOT / "guards", tmp_path / "tree/guards", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "tree"


def test_an_edited_guard_is_another_image(source: Path) -> None:
    before = build.build(source)
    path = source / "guards/core/breach.py"
    path.write_text(path.read_text() + "# edited\n")
    after = build.build(source)
    assert before.reference != after.reference
    assert before.manifest != after.manifest


def test_what_is_not_in_the_package_changes_nothing(source: Path) -> None:
    before = build.build(source)
    (source / "README.md").write_text("x")
    (source / "tests").mkdir()
    (source / "tests/test_x.py").write_text("x")
    (source / "guards/__pycache__").mkdir()
    (source / "guards/__pycache__/x.pyc").write_bytes(b"x")
    assert build.build(source) == before


def test_the_same_content_gives_the_same_bytes(source: Path) -> None:
    first = build.build(source)
    content = first.archive.read_bytes()
    shutil.rmtree(build.CACHE)
    assert build.build(source).archive.read_bytes() == content


def test_an_empty_package_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no file"):
        build.package_files(tmp_path)


def test_both_recipes_agree() -> None:
    assert f"USER {build.CONFIG['User']}" in CONTAINERFILE
    assert f"WORKDIR {build.CONFIG['WorkingDir']}" in CONTAINERFILE
    variables = re.search(r"^ENV (.*)$", CONTAINERFILE, re.MULTILINE)
    assert variables is not None
    assert set(variables[1].split()) == set(build.CONFIG["Env"]) - {oci.PATH}
    assert f"FROM python:{build.PYTHON}-slim-{build.SUITE}" in CONTAINERFILE
    assert f"--target /{build.HOME}" in CONTAINERFILE
    assert f"COPY guards /{build.HOME}/guards" in CONTAINERFILE
    assert f"COPY {build.LOCK.relative_to(ROOT)} " in CONTAINERFILE
    assert "--require-hashes" in CONTAINERFILE


def test_every_locked_dependency_has_a_hash_and_covers_the_runtime_ones() -> None:
    lock = build.LOCK.read_text()
    named = re.findall(r"^([a-z0-9.-]+)==", lock, re.MULTILINE)
    assert {"kubernetes", "pydantic"} <= set(named)
    assert not {"hera", "typer", "rich"} & set(named)
    blocks = re.split(r"^(?=[a-z0-9.-]+==)", lock, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in block for block in blocks)
