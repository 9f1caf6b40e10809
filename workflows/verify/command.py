"""`python -m workflows verify DIR`: flags in, text and exit code out."""

import os
from pathlib import Path
from typing import Annotated

import typer

from guards.exits import Exit
from workflows.console import Problem, reported, say
from workflows.verify.form import Form

EXAMPLES = """\b
examples:
  python -m workflows verify overlay/                 what export wrote, or your own files
  python -m workflows verify . --since origin/main    a branch, as one change
  python -m workflows verify . -o github              annotations in a pull request
  python -m workflows verify . -o sarif > verify.sarif

errors end with 3, warnings alone with 0. Nothing is contacted, no tool but git is run; changes are those since a
commit. Patches of kustomizations are followed to the file and line they are written in.
"""


@reported
def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with YAML: kustomized, plain or Flux.")],
    since: Annotated[str, typer.Option(metavar="COMMIT", help="Verify what changed since this commit.")] = "HEAD",
    output: Annotated[Form, typer.Option("-o", "--output", help="Form of the result on stdout.")] = Form.TABLE,
) -> None:
    """Verify a GitOps tree, anybody's: order, strategies, references, lock, trigger, Secrets, and what changed."""
    from workflows.verify.findings import Level
    from workflows.verify.judge import judge
    from workflows.verify.render import rendered, summary

    if not folder.is_dir():
        raise Problem(Exit.USAGE, f"{folder}: no such folder. Next: python -m workflows verify .")
    report = judge(os.path.relpath(folder), since)
    if not report.files:
        raise Problem(Exit.USAGE, f"{folder}: no YAML files, nothing was verified. Next: find {folder} -name '*.y*ml'")
    if not report.objects and not report.findings:
        raise Problem(
            Exit.USAGE,
            f"{folder}: {report.files} YAML files and none of the objects that matter (MachineDeployment, "
            "TalosControlPlane, …), nothing was verified. Next: grep -rl 'kind: TalosControlPlane' .",
        )
    if text := rendered(report, output):
        typer.echo(text)
    if report.unseen:
        say(f"changes since {since} were not verified ({report.unseen})")
    say(summary(report))
    if report.count(Level.ERROR):
        raise typer.Exit(Exit.REFUSED)
