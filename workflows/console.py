"""What every command has in common: data on stdout, progress and errors on stderr, one exit code per ending."""

import functools
import json
import os
import sys
import traceback
from collections.abc import Callable
from enum import StrEnum
from typing import Any, ParamSpec

import typer

from guards.exits import Exit
from guards.kube.errors import Conflict, Forbidden, Invalid, KubeError, Malformed, NotFound, NotServed, Unreachable

P = ParamSpec("P")

_CODES: dict[type[KubeError], Exit] = {
    Unreachable: Exit.UNREACHABLE,
    Forbidden: Exit.FORBIDDEN,
    NotServed: Exit.CONTRACT,
    Malformed: Exit.CONTRACT,
    NotFound: Exit.REFUSED,
    Invalid: Exit.USAGE,
    Conflict: Exit.INTERRUPTED,
}


class Output(StrEnum):
    """Forms of a result on stdout."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


class Problem(Exception):
    """A command ends here. The text is one sentence with the next command to type."""

    def __init__(self, code: Exit, text: str) -> None:
        super().__init__(text)
        self.code = code


class Debug:
    """Whether errors show where they come from (--debug)."""

    on = False


def say(text: str, *, bold: bool = False) -> None:
    """A line about what happens, on stderr."""
    typer.secho(text, err=True, bold=bold, color=_colour())


def emit(document: Any, output: Output, *, table: str, name: str) -> None:
    """A result on stdout, in the form that was asked for. `table` and `name` are its two texts for people."""
    if output is Output.JSON:
        text = json.dumps(document, indent=2, ensure_ascii=False)
    elif output is Output.YAML:
        from workflows import yamls

        text = yamls.dump(document).rstrip("\n")
    else:
        text = name if output is Output.NAME else table
    if text:
        typer.echo(text)


def ending(code: int, sentence: str) -> None:
    """The last line of a command that waited for a run, and the exit code."""
    colour = typer.colors.GREEN if code == 0 else typer.colors.RED
    typer.secho(f"{'done' if code == 0 else f'exit {code}'}: {sentence}", err=True, fg=colour, color=_colour())
    raise typer.Exit(code)


def reported(command: Callable[P, None]) -> Callable[P, None]:
    """Every foreseen error of a command as one line and its exit code; a traceback is a bug (or --debug)."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (Problem, KubeError) as error:
            if Debug.on:
                traceback.print_exception(error)
            typer.secho(f"error: {error}", err=True, fg=typer.colors.RED, color=_colour())
            raise typer.Exit(_code(error)) from None
        except KeyboardInterrupt:
            say("interrupted")
            raise typer.Exit(Exit.CTRL_C) from None
        except BrokenPipeError:
            # The reader of our output (head, less) has seen enough.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(141) from None

    return run


def _code(error: Exception) -> int:
    if isinstance(error, Problem):
        return error.code
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), Exit.BUG)


def _colour() -> bool | None:
    """None: as the terminal can; typer itself does not know NO_COLOR (https://no-color.org)."""
    return False if os.environ.get("NO_COLOR") else None
