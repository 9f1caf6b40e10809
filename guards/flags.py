"""Command line, parameter file and environment -> Parameters. Precedence: flag, file, environment, default."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from guards.exits import Exit
from guards.parameters import CONTRACT, KNOBS, ROUNDS, Knob, Parameters, Rounds

VERBS = {
    "preflight": "may a rollout of this cluster begin? Looks once and says why",
    "control-plane": "supervise the control plane until every machine is up to date and stable",
    "workers": "supervise the MachineDeployments until every machine is up to date and stable",
    "report": "say how a Workflow ended, and end with its code",
    "backstop": "start the runs whose event got lost: --namespaces and --workflow-namespace, nothing else",
}

_FLAGS = (*KNOBS, *(knob for knob in ROUNDS if knob.field not in Parameters.model_fields))

Model = TypeVar("Model", bound=BaseModel)

EXAMPLES = """examples:
  python -m guards preflight --cluster-name homelab
  python -m guards workers --cluster-name homelab --scope workers --poll-interval 10s
  CAPI_ROLLOUT_CLUSTER_NAME=homelab python -m guards control-plane --context mgmt
  python -m guards backstop --namespaces default,lab --workflow-namespace argo
"""


class BadInput(Exception):
    """The input cannot be used; nothing was touched. `exit` is USAGE or CONTRACT."""

    def __init__(self, message: str, code: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.exit = code


@dataclass(frozen=True, slots=True)
class Command:
    """What to do, and how to reach the management cluster (None: as kubectl would find it)."""

    verb: str
    parameters: Parameters | Rounds
    """Rounds for the verb `backstop`."""
    kubeconfig: str | None
    context: str | None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; python -m guards --help lists verbs and flags")


def read_command(argv: list[str], environment: Mapping[str, str]) -> Command:
    """Raises BadInput; argparse itself leaves with SystemExit(0) on --help."""
    given = vars(_parser().parse_args(argv))
    verb = given["verb"]
    knobs = ROUNDS if verb == "backstop" else KNOBS
    foreign = [knob.flag for knob in _FLAGS if given[knob.field] is not None and knob.field not in _fields(knobs)]
    if foreign:
        raise BadInput(f"{', '.join(foreign)}: no flag of {verb}; python -m guards --help lists verbs and flags")
    texts = {knob.name: environment[knob.env] for knob in knobs if knob.env in environment}
    if given["file"]:
        texts |= read_file(Path(given["file"]))
    texts |= {knob.name: given[knob.field] for knob in knobs if given[knob.field] is not None}
    parameters = _read(texts, Rounds, knobs) if verb == "backstop" else read_parameters(texts)
    return Command(verb, parameters, given["kubeconfig"], given["context"])


def _fields(knobs: tuple[Knob, ...]) -> set[str]:
    return {knob.field for knob in knobs}


def read_parameters(texts: Mapping[str, str]) -> Parameters:
    """Parameters from workflow names and texts. BadInput names every bad one, what was seen and what is expected."""
    return _read(texts, Parameters, KNOBS)


def _read(texts: Mapping[str, str], model: type[Model], knobs: tuple[Knob, ...]) -> Model:
    contract = texts.get("contract", CONTRACT)
    if contract != CONTRACT:
        raise BadInput(
            f"the WorkflowTemplate speaks contract {contract!r}, this image {CONTRACT!r}: "
            "bring both to the same release (python -m workflows export, then sync)",
            Exit.CONTRACT,
        )
    unknown = sorted(set(texts) - {knob.name for knob in knobs})
    if unknown:
        raise BadInput(
            f"the WorkflowTemplate sends {', '.join(unknown)}, which this image does not know: "
            "bring both to the same release (python -m workflows export, then sync)",
            Exit.CONTRACT,
        )
    try:
        return model.model_validate(texts)
    except ValidationError as error:
        raise BadInput("; ".join(_sentence(detail) for detail in error.errors())) from error


def read_file(path: Path) -> dict[str, str]:
    """Argo's file of a script step: `[{"name": "clusterName", "value": "homelab"}, …]`."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"parameter file {path}: {error.strerror}") from error
    except ValueError as error:
        raise BadInput(f"parameter file {path}: is no JSON ({error})") from error
    shape = isinstance(rows, list) and all(
        isinstance(row, dict) and isinstance(row.get("name"), str) and isinstance(row.get("value"), str) for row in rows
    )
    if not shape:
        raise BadInput(f'parameter file {path}: expected [{{"name": "clusterName", "value": "homelab"}}, …]')
    texts = {row["name"]: row["value"] for row in rows}
    if len(texts) != len(rows):
        raise BadInput(f"parameter file {path}: a name occurs twice")
    return texts


def _sentence(detail: Mapping[str, object]) -> str:
    """One pydantic error as `clusterName (--cluster-name): is required`."""
    where = detail["loc"]
    name = str(where[0]) if isinstance(where, tuple) and where else "parameters"
    knob = _KNOB.get(name)
    label = f"{name} ({knob.flag})" if knob else name
    if detail["type"] == "missing":
        return f"{label}: is required"
    message = str(detail["msg"]).removeprefix("Value error, ")
    seen = "" if repr(detail.get("input")) in message else f", not {detail.get('input')!r}"
    expected = f"must be one of {', '.join(knob.choices)}" if knob and knob.choices else message
    return f"{label}: {expected}{seen}"


_KNOB: dict[str, Knob] = {knob.name: knob for knob in _FLAGS}


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m guards",
        description="Look at a Cluster API rollout, decide, say why, wait. From a shell only `backstop` writes.",
        epilog="verbs:\n" + "".join(f"  {verb:<14} {what}\n" for verb, what in VERBS.items()) + "\n" + EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("verb", choices=list(VERBS), metavar="VERB")
    parser.add_argument("file", nargs="?", metavar="PARAMETERS.json", help="the parameters, as Argo writes them")
    parser.add_argument("--kubeconfig", help="management cluster (default: in-cluster, $KUBECONFIG, ~/.kube/config)")
    parser.add_argument("--context", help="context of the kubeconfig")
    for knob in _FLAGS:
        default = "required" if knob.default is None else f"default {knob.default or 'empty'}"
        shape = f"{{{','.join(knob.choices)}}}" if knob.choices else knob.field.rsplit("_", 1)[-1].upper()
        parser.add_argument(knob.flag, dest=knob.field, metavar=shape, help=f"{knob.help} ({default}; {knob.env})")
    return parser
