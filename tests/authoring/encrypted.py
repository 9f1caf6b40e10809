"""A site with secrets in a folder of its own: exported, its Secret encrypted by the real sops for a fresh age key."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from workflows.export import export
from workflows.site import Site

STAND_IN = Path(__file__).with_name("ksops_stand_in.py")
FILE = "capi-rollout-talos.sops.yaml"
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "capi-rollout-talos", "namespace": "argo"},
    "stringData": {"default.homelab": "context: homelab\n"},
}


@dataclass(frozen=True)
class Encrypted:
    """A GitOps repository, and the only key that opens its secrets."""

    root: Path
    key: Path
    tools: Path
    """Folder with sops, age-keygen and the stand-in under the name of ksops: first on PATH."""

    @property
    def overlay(self) -> Path:
        return self.root / "overlay/management/argo-workflows"

    def run(self, *command: str, key: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SOPS_")}
        environment |= {"PATH": f"{self.tools}:{os.environ['PATH']}", "HOME": str(self.root)}
        if key:
            environment["SOPS_AGE_KEY_FILE"] = str(self.key)
        return subprocess.run(command, env=environment, cwd=self.root, capture_output=True, text=True, check=False)


def encrypted(site: Site, folder: Path, tool: Callable[[str], str]) -> Encrypted:
    """Export `site` with one secret below `folder`, and encrypt it."""
    tools = folder / "bin"
    tools.mkdir(parents=True)
    for name in ("sops", "age-keygen"):
        (tools / name).symlink_to(tool(name))
    # Called by the interpreter that has PyYAML; kustomize finds it under the name that the generator tells.
    (tools / "ksops").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{STAND_IN}"\n')
    (tools / "ksops").chmod(0o755)
    made = Encrypted(folder / "gitops", folder / "key.txt", tools)
    made.root.mkdir()
    export(site.model_copy(update={"secrets": (FILE,)}), made.root)
    _made(made.run("age-keygen", "-o", str(made.key)))
    recipient = _made(made.run("age-keygen", "-y", str(made.key))).strip()
    plain = folder / FILE
    plain.write_text(yaml.safe_dump(SECRET))
    command = ("sops", "--encrypt", "--age", recipient, "--encrypted-regex", "^(data|stringData)$", str(plain))
    (made.overlay / FILE).write_text(_made(made.run(*command)))
    plain.unlink()
    return made


def _made(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout
