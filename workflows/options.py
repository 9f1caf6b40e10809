"""What the commands are given: the run's parameters as flags, the site file, and which management cluster."""

import difflib
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guards.exits import Exit
from guards.flags import BadInput, read_parameters
from guards.kube.errors import Unreachable
from guards.parameters import ASKED, Knob, Parameters
from workflows.console import Problem, say

if TYPE_CHECKING:
    from guards.kube.client import Client
    from workflows.site import Site

SITE = Path("rollout.yaml")
ARGO_NAMESPACE = "argo"
"""Where the WorkflowTemplate is when no site file says otherwise."""

Kubeconfig = Annotated[
    str | None, typer.Option(metavar="FILE", help="Kubeconfig (default: $KUBECONFIG, first file wins; ~/.kube/config).")
]
Context = Annotated[str | None, typer.Option(metavar="NAME", help="Context of the kubeconfig.")]
SiteFile = Annotated[
    Path | None, typer.Option("--site", metavar="FILE", help=f"Site file (default: {SITE}, where there is one).")
]
Namespace = Annotated[
    str | None,
    typer.Option("-n", "--namespace", metavar="NAME", help="Namespace of the Workflows (default: the site's)."),
]

_ALIASES = {"clusterName": ("--cluster", "--cluster-name")}
_OWN_DEFAULT = {
    "clusterName": "the site's only cluster",
    "clusterNamespace": "the site's, else default",
    "maxRemediations": "2 where the site enables remediation, else 0",
}


def parameter_flags(*, without: tuple[str, ...] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command one flag per parameter of a run. It gets those that were set as `given`: name -> text."""
    knobs = tuple(knob for knob in ASKED if knob.name not in without)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def run(**values: Any) -> None:
            given = {knob.name: _text(value) for knob in knobs if (value := values.pop(knob.field)) is not None}
            command(given=given, **values)

        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "given"]
        flags = [_flag(knob) for knob in knobs]
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + flags
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        run.__doc__, run.__name__ = command.__doc__, command.__name__
        return run

    return decorate


def _flag(knob: Knob) -> inspect.Parameter:
    text = f"{knob.help} [default: {_OWN_DEFAULT.get(knob.name, knob.default or 'empty')}]"
    kind: Any = str | None
    if knob.default in ("true", "false"):
        kind = bool | None
        option = typer.Option(f"{knob.flag}/--no-{knob.flag[2:]}", help=text)
    else:
        complete = (lambda: list(knob.choices)) if knob.choices else None
        names = _ALIASES.get(knob.name, (knob.flag,))
        option = typer.Option(*names, metavar=_shape(knob), help=text, autocompletion=complete)
    return inspect.Parameter(
        knob.field, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option]
    )


def _shape(knob: Knob) -> str:
    """What to write after the flag: choices, or the kind of value that the default is."""
    if knob.choices:
        return "|".join(knob.choices)
    if knob.default and knob.default.isdecimal():
        return "COUNT"
    return "DURATION" if knob.default and knob.default[0].isdecimal() else knob.field.rsplit("_", 1)[-1].upper()


def _text(value: str | bool) -> str:
    return value if isinstance(value, str) else str(value).lower()


@dataclass(frozen=True, slots=True)
class Target:
    """One cluster's rollout: its checked parameters, the texts that were given for them, and where its runs are."""

    parameters: Parameters
    given: dict[str, str]
    namespace: str


def target(site_file: Path | None, namespace: str | None, given: dict[str, str]) -> Target:
    """Fill in cluster and namespaces from the site file, then check everything. Touches nothing.

    Raises Problem (usage). Only what was given is sent on: defaults are the WorkflowTemplate's.
    """
    site = _site(site_file)
    name = given.get("clusterName") or _only_cluster(site)
    of_site = [cluster.namespace for cluster in site.clusters if cluster.name == name] if site else []
    if "clusterNamespace" not in given and len(of_site) > 1:
        raise Problem(
            Exit.USAGE, f"{name} is in the namespaces {', '.join(of_site)}. Next: add --cluster-namespace {of_site[0]}"
        )
    own = {"clusterName": name, "clusterNamespace": of_site[0] if of_site else "default"}
    given = own | given
    parameters = checked(given)
    return Target(parameters, given, _namespace(namespace or (site.argo.namespace if site else ARGO_NAMESPACE)))


def checked(given: dict[str, str]) -> Parameters:
    """The parameters, every bad one named in one Problem."""
    try:
        return read_parameters(given)
    except BadInput as error:
        raise Problem(error.exit, f"{error}. Next: the same command with --help") from error


def _namespace(name: str) -> str:
    checked({"clusterName": "any", "workflowNamespace": name})
    return name


def load_site(path: Path) -> "Site":
    from workflows.site import SiteError, load

    try:
        return load(path)
    except SiteError as error:
        raise Problem(Exit.USAGE, str(error)) from error


def _site(path: Path | None) -> "Site | None":
    """The site file; None where none was named and there is none."""
    return None if path is None and not SITE.exists() else load_site(path or SITE)


def _only_cluster(site: "Site | None") -> str:
    if site is None:
        raise Problem(Exit.USAGE, f"which cluster? There is no {SITE} here. Next: add --cluster NAME, or --site FILE")
    names = [cluster.name for cluster in site.clusters]
    if len(names) > 1:
        raise Problem(Exit.USAGE, f"which cluster? The site has {', '.join(names)}. Next: add --cluster {names[0]}")
    return names[0]


@contextmanager
def management_cluster(kubeconfig: str | None, context: str | None) -> "Iterator[Client]":
    """A client of the cluster that was chosen, which is said before anything is asked of it."""
    from guards.kube.client import Client
    from guards.kube.connect import NotConfigured, connect

    try:
        connection = connect(kubeconfig, context)
    except NotConfigured as error:
        raise Problem(Exit.USAGE, str(error)) from error
    say(f"context {connection.context}  {connection.server}", bold=True)
    client = Client(connection)
    try:
        yield client
    except Unreachable as error:
        next_command = f"kubectl --context {connection.context} version"
        raise Problem(Exit.UNREACHABLE, f"{error}. Next: {next_command}") from error
    finally:
        client.close()


def nearest(name: str, known: list[str]) -> str:
    """`did you mean 'x'? ` or nothing."""
    found = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {found[0]!r}? " if found else ""
