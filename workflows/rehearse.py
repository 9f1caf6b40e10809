"""`rehearse`: the shipped guards against a simulated management cluster, in the order of the WorkflowTemplate.

Needs no cluster. The same scenario and seed give the same timeline, byte for byte.
"""

import difflib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from guards.core.verdict import Decision, Ending
from guards.exits import Exit
from guards.journal import LINE_LIMIT, Journal
from guards.parameters import SCOPES, Parameters
from guards.simulator.scenarios import CLUSTER, SCENARIOS, Scenario
from guards.simulator.simulation import Simulation
from guards.steps import World, run_step
from guards.text import printable

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["SCENARIOS", "Line", "Rehearsal", "Scenario", "Worst", "rehearse", "run", "timeline"]

OUTPUTS = ("table", "json", "yaml", "name")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class Line(_Model):
    """One line that a step said."""

    at: datetime
    elapsed: int
    """Whole simulated seconds since the first look."""
    step: str
    text: str


class Worst(_Model):
    """The largest counts of one scope at any event of the world, seen by the guards or not."""

    deleting: int = 0
    not_ready: int = 0
    down: int = 0
    """Slots without a machine that really served."""


class Rehearsal(_Model):
    """How one simulated run went."""

    scenario: str
    seed: int
    api: str
    exit: int
    decision: str
    sentence: str
    simulated_seconds: int
    requests: int
    worst: dict[str, Worst]
    lines: list[Line]


class _Transcript(Journal):
    """Keeps what the steps say instead of printing it."""

    def __init__(self, start: datetime, lines: list[Line], step: str = "") -> None:
        super().__init__()
        self.lines, self.step, self.start = lines, step, start

    def _print(self, now: datetime, text: str) -> None:
        elapsed = int((now - self.start).total_seconds())
        self.lines.append(Line(at=now, elapsed=elapsed, step=self.step, text=printable(text, LINE_LIMIT)))


def rehearse(name: str, seed: int = 0, api: str = "v1beta2", overrides: Mapping[str, str] | None = None) -> Rehearsal:
    """Run one scenario to its end. ValueError for an unknown scenario, ValidationError for bad overrides."""
    scenario = _scenario(name)
    parameters = Parameters.model_validate({"clusterName": CLUSTER, **scenario.parameters, **(overrides or {})})
    simulation = scenario.simulation(seed, api)
    transcript = _Transcript(simulation.now(), [])
    tally = _tally(simulation)
    decision, ending = _steps(World(simulation, simulation, transcript), parameters)
    return Rehearsal(
        scenario=name,
        seed=seed,
        api=api,
        exit=int(ending.exit),
        decision=decision,
        sentence=ending.sentence,
        simulated_seconds=int(simulation.engine.seconds),
        requests=simulation.requests,
        worst={scope: Worst(deleting=d, not_ready=n, down=w) for scope, (d, n, w) in tally.items()},
        lines=transcript.lines,
    )


def _scenario(name: str) -> Scenario:
    if name in SCENARIOS:
        return SCENARIOS[name]
    near = difflib.get_close_matches(name, SCENARIOS, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise ValueError(f"there is no scenario {name!r}; {hint}known: {', '.join(SCENARIOS)}")


def _steps(world: World, parameters: Parameters) -> tuple[str, Ending]:
    """preflight, control-plane, workers: each only when the one before lets it, as in the WorkflowTemplate."""
    ending = _step("preflight", world, parameters)
    decision = str(ending.decision or "")
    if ending.exit != Exit.DONE or ending.decision is not Decision.ROLL:
        return decision, ending
    for scope in SCOPES:
        if parameters.covers(scope):
            ending = _step(str(scope), world, parameters)
            if ending.exit != Exit.DONE:
                break
    return decision, ending


def _step(verb: str, world: World, parameters: Parameters) -> Ending:
    """Each step is a process of its own, with a last word of its own."""
    assert isinstance(world.journal, _Transcript)
    journal = _Transcript(world.journal.start, world.journal.lines, verb)
    return run_step(verb, replace(world, journal=journal), parameters)


def _tally(simulation: Simulation) -> dict[str, tuple[int, int, int]]:
    """(deleting, notReady, down) per scope, the maximum of every event from now on."""
    worst = {str(scope): (0, 0, 0) for scope in SCOPES}

    def measure() -> None:
        for scope, (deleting, not_ready, down) in worst.items():
            machines = [m for m in simulation.machines() if m.pool.scope == scope]
            worst[scope] = (
                max(deleting, sum(m.deleted is not None for m in machines)),
                max(not_ready, sum(not m.ready() for m in machines)),
                max(down, simulation.down_now(scope)),
            )

    simulation.each_event.append(measure)
    return worst


def run(
    scenario: str,
    seed: int = 0,
    output: str = "table",
    console: "Console | None" = None,
    *,
    api: str = "v1beta2",
    overrides: Mapping[str, str] | None = None,
) -> int:
    """Rehearse and print. Returns the exit code the simulated run ended with."""
    if output not in OUTPUTS:
        raise ValueError(f"output {output!r} is not one of {', '.join(OUTPUTS)}")
    rehearsal = rehearse(scenario, seed, api, overrides)
    if output == "json":
        print(rehearsal.model_dump_json(by_alias=True, indent=2))
    elif output == "yaml":
        from workflows.yamls import dump

        print(dump(rehearsal.model_dump(mode="json", by_alias=True)), end="")
    elif output == "name":
        print(rehearsal.scenario)
    else:
        _print(rehearsal, console)
    return rehearsal.exit


def timeline(rehearsal: Rehearsal) -> str:
    """The timeline as plain text, one line per change: elapsed time, step, text."""
    return "".join(f"{_clock(line)}  {line.step:<13}  {line.text}\n" for line in rehearsal.lines) + _summary(rehearsal)


def _clock(line: Line) -> str:
    minutes, seconds = divmod(line.elapsed, 60)
    return f"+{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def _summary(rehearsal: Rehearsal) -> str:
    worst = "; ".join(
        f"{scope}: deleting {counts.deleting}, notReady {counts.not_ready}, really down {counts.down}"
        for scope, counts in rehearsal.worst.items()
    )
    return (
        f"exit {rehearsal.exit} after {rehearsal.simulated_seconds // 60} simulated minutes; at most: {worst}\n"
        f"again: python -m workflows rehearse {rehearsal.scenario} --seed {rehearsal.seed}\n"
    )


def _print(rehearsal: Rehearsal, console: "Console | None") -> None:
    from rich.console import Console
    from rich.text import Text

    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.file.write(timeline(rehearsal))
        return
    for line in rehearsal.lines:
        row = Text.assemble((_clock(line), "dim"), "  ", (f"{line.step:<13}", "cyan"), "  ", (line.text, _style(line)))
        console.print(row, soft_wrap=True)
    console.print(Text(_summary(rehearsal).rstrip(), style="bold"), soft_wrap=True)


def _style(line: Line) -> str:
    if line.text.startswith("ok:"):
        return "bold green"
    if line.text.startswith("exit "):
        return "bold red"
    return "yellow" if line.text.endswith("]") else ""
