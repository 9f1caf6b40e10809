"""The command line, run in this process against a small API server, in an empty folder with the example site."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from tests.cli.fakeapi import FakeApi, kubeconfig
from workflows.cli import app

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., Result]


@pytest.fixture
def api() -> Iterator[FakeApi]:
    fake = FakeApi()
    yield fake
    fake.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: the site file and nothing else; no kubeconfig anywhere but where a test puts one."""
    shutil.copy(ROOT / "rollout.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return tmp_path


@pytest.fixture(autouse=True)
def _pauses_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long is waited is tested at the edge; here each pause is only as long as it must be to be one."""
    monkeypatch.setattr("guards.kube.watch.COALESCE", 0.01)
    monkeypatch.setattr("guards.kube.calls.pause", lambda attempt: 0.01)


@pytest.fixture
def run(folder: Path) -> Run:
    def invoke(*argv: str) -> Result:
        return CliRunner().invoke(app, argv)

    return invoke


@pytest.fixture
def on(run: Run, api: FakeApi, folder: Path) -> Run:
    """Run a command with the API server's kubeconfig in the environment."""
    file = kubeconfig(folder / "config", api.url)

    def invoke(*argv: str) -> Result:
        return CliRunner().invoke(app, argv, env={"KUBECONFIG": str(file)})

    return invoke
