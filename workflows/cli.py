"""The command line `python -m workflows`. Each command only translates: flags in, text and exit code out."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guards.durations import parse_duration
from guards.exits import Exit
from guards.kube.access import CLUSTER, WORKFLOW
from workflows.console import Debug, Output, Problem, emit, ending, reported, say
from workflows.options import (
    SITE,
    Context,
    Kubeconfig,
    Namespace,
    SiteFile,
    checked,
    load_site,
    management_cluster,
    parameter_flags,
    target,
)
from workflows.verify.command import EXAMPLES as VERIFY_EXAMPLES
from workflows.verify.command import verify

if TYPE_CHECKING:
    from guards.kube.client import Client
    from workflows.options import Target

CODES = """\b
exit codes:
  0 done · 2 usage · 3 a guard said no · 4 no progress · 69 API unreachable
  75 try again · 77 not permitted · 78 releases do not fit · 124 --timeout
  130 Ctrl-C (the run goes on) · 1 bug, or outcome not established"""

app = typer.Typer(
    name="workflows",
    help="Cluster API rollouts without a spare machine, as an Argo Workflow.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

OutputOption = Annotated[Output, typer.Option("-o", "--output", help="Form of the result on stdout.")]


class DryRun(StrEnum):
    NONE = "none"
    CLIENT = "client"
    SERVER = "server"


@app.callback(
    epilog=f"""\b
examples:
  python -m workflows rehearse healthy        no cluster needed
  python -m workflows export                  write overlay/ from rollout.yaml
  python -m workflows verify .                read your own files, no cluster needed
  python -m workflows plan                    what a run would decide now
  python -m workflows submit --watch          start a run and follow it

{CODES}"""
)
def main(
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")] = False,
) -> None:
    Debug.on = debug


@app.command(
    short_help="Write the overlay from the site file.",
    epilog=f"""\b
examples:
  python -m workflows export                      write what differs
  python -m workflows export --check              exit 3 when anything differs
  python -m workflows export --diff               the same, as a patch
  python -m workflows export --site ~/gitops/rollout.yaml

{CODES}""",
)
@reported
def export(
    site: Annotated[Path, typer.Option(metavar="FILE", help="Site file; overlay/ is written beside it.")] = SITE,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; say what differs.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="As --check; show it as a unified diff.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Write the overlay (WorkflowTemplate, trigger, RBAC, cluster) from the site file, beside files of your own.

    What it did not generate it never touches. A kustomization that is yours it reads, and says what to add.
    """
    loaded = load_site(site)
    from workflows.export import HandWritten, Unreadable, export  # Hera takes a second

    try:
        found = export(loaded, site.parent, check or diff)
    except (HandWritten, Unreadable) as error:
        raise Problem(Exit.REFUSED, str(error)) from error
    rows = [{"path": str(change.path), "change": change.verb} for change in found.changes]
    todos = [{"path": str(todo.path), "add": todo.add, "remove": todo.remove} for todo in found.todos]
    changed = [f"{row['change']} {row['path']}" for row in rows]
    emit(
        {"files": [str(path) for path in found.files], "changes": rows, "kustomizations": todos},
        output,
        table="".join(each.diff() for each in found.changes) if diff else "\n".join(changed),
        name="\n".join(row["path"] for row in rows),
    )
    for text in (*(todo.text().rstrip() for todo in found.todos), *found.notes):
        say(text)
    if (check or diff) and (rows or todos):
        raise Problem(Exit.REFUSED, _differs(len(rows), len(found.files), len(todos)))
    say(f"{len(found.files)} files, {len(rows)} written" if rows else f"{len(found.files)} files are up to date")


def _differs(changed: int, files: int, todos: int) -> str:
    parts = [f"{changed} of {files} files differ. Next: python -m workflows export"] if changed else []
    parts += [f"{todos} of your kustomizations lack lines. Next: edit them as said above"] if todos else []
    return ". ".join(parts)


app.command(short_help="Verify a GitOps tree, yours or ours.", epilog=f"{VERIFY_EXAMPLES}\n{CODES}")(verify)


@app.command(
    short_help="Start a run by hand, and wait for it.",
    epilog=f"""\b
examples:
  python -m workflows submit --watch
  python -m workflows submit --scope workers --wait --timeout 3h
  python -m workflows submit --cluster lab --workers-timeout 90m -o name
  python -m workflows submit --dry-run client -o yaml | kubectl create -f -

{CODES}""",
)
@reported
@parameter_flags()
def submit(
    given: dict[str, str],
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = None,
    site: SiteFile = None,
    watch: Annotated[bool, typer.Option("--watch", help="Print each change until the end; then as --wait.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="End when the run ends, with its exit code.")] = False,
    timeout: Annotated[str | None, typer.Option(metavar="DURATION", help="Longest time to wait, like 3h.")] = None,
    dry_run: Annotated[DryRun, typer.Option("--dry-run", help="client: contact nothing. server: store nothing.")] = (
        DryRun.NONE
    ),
    output: OutputOption = Output.TABLE,
) -> None:
    """Start a run by hand: one Workflow from the WorkflowTemplate, queued behind others of the same cluster."""
    from guards.kube.ports import Object
    from workflows.submit import submission
    from workflows.submit import submit as create

    where = target(site, namespace, given)
    patience = _duration(timeout) if timeout is not None else None
    if (watch or wait) and dry_run is not DryRun.NONE:
        raise Problem(Exit.USAGE, "--dry-run starts no run to wait for. Next: leave out --watch and --wait")
    if timeout is not None and not (watch or wait):
        raise Problem(Exit.USAGE, "--timeout needs --wait or --watch")
    body = submission(where)

    def show(workflow: Object, suffix: str = "") -> None:
        name = workflow["metadata"].get("name") or workflow["metadata"]["generateName"]
        full = f"workflow.argoproj.io/{name}"
        emit(workflow, output, table=f"{full} created{suffix}", name=full)

    if dry_run is DryRun.CLIENT:
        return show(body, " (client dry run)")
    with management_cluster(kubeconfig, context) as client:
        say(f"{_cluster(where)}  scope {where.parameters.scope}  Workflow namespace {where.namespace}")
        created = create(client, where, body, dry_run=dry_run is DryRun.SERVER)
        show(created, " (server dry run)" if dry_run is DryRun.SERVER else "")
        if watch or wait:
            _follow(client, where, created, patience, aloud=watch)
    return None


def _follow(client: "Client", where: "Target", created: Any, timeout: Any, *, aloud: bool) -> None:
    from workflows.follow import Follower
    from workflows.submit import labels

    name, uid = created["metadata"]["name"], created["metadata"]["uid"]
    client.watch([WORKFLOW], where.namespace, ",".join(f"{key}={value}" for key, value in labels(where).items()))

    def tell(now: datetime, line: str) -> None:
        if aloud:
            say(f"{now:%H:%M:%S} {line}")

    follower: Follower = Follower(client, client, where.namespace, name, uid, tell)
    try:
        end = follower.to_the_end(timeout)
    except KeyboardInterrupt:
        say(f"interrupted; the run goes on. Next: kubectl -n {where.namespace} get workflow {name} -w")
        raise typer.Exit(Exit.CTRL_C) from None
    ending(end.exit, end.sentence)


@app.command(
    short_help="Say what a run would decide now.",
    epilog=f"""\b
examples:
  python -m workflows plan
  python -m workflows plan --scope workers --context mgmt
  python -m workflows plan -o json | jq -r .decision

{CODES}""",
)
@reported
@parameter_flags()
def plan(
    given: dict[str, str],
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    site: SiteFile = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Look once and say what a run would decide now: exactly its preflight, from here, changing nothing."""
    import sys

    from guards.journal import Journal
    from guards.steps import World, run_step

    where = target(site, None, given)
    with management_cluster(kubeconfig, context) as client:
        client.served_version(CLUSTER)  # from here an outage is an error, not something to sit out
        journal = Journal(sys.stdout if output is Output.TABLE else sys.stderr)
        end = run_step("preflight", World(client, client, journal), where.parameters)
    document = {
        "cluster": where.parameters.cluster_name,
        "namespace": where.parameters.cluster_namespace,
        "scope": str(where.parameters.scope),
        "decision": str(end.decision or ""),
        "exit": int(end.exit),
        "sentence": end.sentence,
    }
    emit(document, output, table="", name=str(end.decision or ""))
    raise typer.Exit(end.exit)


@app.command(
    short_help="Play a rollout without a cluster.",
    epilog=f"""\b
examples:
  python -m workflows rehearse                    list the scenarios
  python -m workflows rehearse healthy
  python -m workflows rehearse late-nodes --handover-grace 0s
  python -m workflows rehearse second-failure --seed 7 -o json

{CODES}""",
)
@reported
@parameter_flags(without=("clusterName", "clusterNamespace", "tcpGeneration"))
def rehearse(
    given: dict[str, str],
    scenario: Annotated[str | None, typer.Argument(metavar="[SCENARIO]", help="Which; none lists them.")] = None,
    seed: Annotated[int, typer.Option(help="Another one, other durations; the same one, the same timeline.")] = 0,
    api: Annotated[str, typer.Option(metavar="v1beta2|v1beta1", help="Version the simulated API speaks.")] = "v1beta2",
    output: OutputOption = Output.TABLE,
) -> None:
    """Play a rollout: the guards that run in the pods, against a simulated management cluster. No cluster needed."""
    from workflows.rehearse import SCENARIOS, run

    if scenario is None:
        rows = [{"name": each.name, "summary": each.summary, "exit": int(each.expected)} for each in SCENARIOS.values()]
        table = "\n".join(f"{row['name']:<18} {row['exit']:>2}  {row['summary']}" for row in rows)
        return emit(rows, output, table=table, name="\n".join(SCENARIOS))
    checked({"clusterName": "any"} | given)
    try:
        code = run(scenario, seed, output.value, api=api, overrides=given)
    except ValueError as error:
        raise Problem(Exit.USAGE, f"{error}. Next: python -m workflows rehearse") from error
    raise typer.Exit(code)


def _duration(text: str) -> Any:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise Problem(Exit.USAGE, f"--timeout: {error}") from error


def _cluster(where: "Target") -> str:
    return f"cluster {where.parameters.cluster_namespace}/{where.parameters.cluster_name}"
