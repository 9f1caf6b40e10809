"""The shipped guards in simulated worlds: golden timelines, and random worlds against the truth.

A golden is written only on request: UPDATE_GOLDEN=1 python -m pytest tests/simulator/test_rehearsals.py
One random world again: WORLD_SEED=<seed> python -m pytest tests/simulator/test_rehearsals.py; more: WORLDS=500
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from io import StringIO
from pathlib import Path
from random import Random

import pytest
from rich.console import Console

from guards.core.verdict import Ending
from guards.exits import Exit
from guards.journal import Journal
from guards.parameters import Parameters
from guards.simulator import Simulation, faults
from guards.simulator.engine import COALESCE
from guards.simulator.records import MachineRecord
from guards.simulator.wire_machines import CANARY
from guards.steps import World, run_step
from workflows.rehearse import SCENARIOS, Rehearsal, rehearse, run, timeline

GOLDEN = Path(__file__).parent.parent / "golden"
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"
SEEDS = [int(os.environ["WORLD_SEED"])] if "WORLD_SEED" in os.environ else range(int(os.environ.get("WORLDS", "20")))
REPLAY = "again: WORLD_SEED={seed} python -m pytest tests/simulator/test_rehearsals.py"


@cache
def played(name: str, api: str = "v1beta2") -> Rehearsal:
    return rehearse(name, api=api)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_timeline_is_the_golden_one(name: str) -> None:
    rehearsal = played(name)
    assert rehearsal.exit == SCENARIOS[name].expected, timeline(rehearsal)
    path = GOLDEN / f"{name}.txt"
    if UPDATE:
        path.write_text(timeline(rehearsal), encoding="utf-8")
    assert path.exists(), f"{path} is missing; write it with UPDATE_GOLDEN=1 and read it"
    assert timeline(rehearsal) == path.read_text(encoding="utf-8")


def test_every_golden_has_its_scenario() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.txt")) == sorted(SCENARIOS)


@pytest.mark.parametrize("name", SCENARIOS)
def test_an_old_api_gives_the_same_timeline_and_nothing_secret(name: str) -> None:
    new, old = played(name), played(name, "v1beta1")
    assert new.lines == old.lines
    assert CANARY not in new.model_dump_json()


def test_overrides_reach_the_guards() -> None:
    rehearsal = rehearse("late-nodes", overrides={"handoverGrace": "0s"})
    assert rehearsal.exit == Exit.REFUSED
    assert "[G2]" in rehearsal.sentence


def test_an_unknown_scenario_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean second-failure"):
        rehearse("second-failur")


def test_output_for_people_pipes_and_programs(capsys: pytest.CaptureFixture[str]) -> None:
    pipe, terminal = StringIO(), StringIO()
    assert run("second-failure", console=Console(file=pipe)) == Exit.REFUSED
    assert pipe.getvalue() == (GOLDEN / "second-failure.txt").read_text(encoding="utf-8")
    run("second-failure", console=Console(file=terminal, force_terminal=True, width=80))
    assert "\x1b[" in terminal.getvalue()
    assert run("second-failure", output="json") == Exit.REFUSED
    assert '"exit": 3' in capsys.readouterr().out
    with pytest.raises(ValueError, match="xml"):
        run("healthy", output="xml")


GRACE = timedelta(minutes=2)
"""Default of handoverGrace."""


@dataclass
class Offence:
    """Watches the API's own counts for the first instant at which a scope was over the runbook's budget."""

    simulation: Simulation
    at: float = math.inf
    """By the letter of G3: whoever is up to date and has a Node may be starting during a hand-over."""
    suspected: float = math.inf
    """The same without the new machines that have been Ready before: those fail, they do not start."""
    been_ready: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.simulation.each_event.append(self.look)

    def look(self) -> None:
        now = self.simulation.engine.seconds
        for pool in self.simulation.pools():
            found = self.simulation.machines(pool)
            self.been_ready.update(m.name for m in found if m.ready())
            down = [m for m in found if not m.ready()]
            if len(down) > 1:
                starting = self._starting(down)
                if starting is None:
                    self.at = min(self.at, now)
                if starting is None or starting.name in self.been_ready:
                    self.suspected = min(self.suspected, now)

    def _starting(self, down: list[MachineRecord]) -> MachineRecord | None:
        """The new machine of a hand-over: one control-plane machine deleting, one other down."""
        new = [m for m in down if m.deleted is None]
        since = [self.simulation.now() - m.deleted for m in down if m.deleted is not None]
        if len(down) != 2 or len(new) != 1 or since[0] >= GRACE or new[0].pool.scope != "control-plane":
            return None
        return new[0] if new[0].up_to_date and new[0].node_seen else None


def drive(simulation: Simulation) -> tuple[Ending, str]:
    """preflight, control-plane, workers with default parameters; the ending and what was said."""
    said = StringIO()
    world = World(simulation, simulation, Journal(said))
    parameters = Parameters(cluster_name="homelab")
    ending = run_step("preflight", world, parameters)
    assert ending.decision == "roll", ending
    for step in ("control-plane", "workers"):
        ending = run_step(step, world, parameters)
        if ending.exit != Exit.DONE:
            break
    return ending, said.getvalue()


def random_world(random: Random, seed: int) -> Simulation:
    """3 or 5 control-plane machines, 2 to 6 workers; versions or configurations change, of one scope or both."""
    simulation = Simulation(
        seed=seed,
        api=random.choice(["v1beta2", "v1beta1"]),
        control_planes=random.choice([3, 5]),
        workers={"homelab-workers": random.randint(2, 6)},
    )
    scopes = random.choice([("homelab-cp",), ("homelab-workers",), ("homelab-cp", "homelab-workers")])
    change = random.choice([{"version": "v1.35.1"}, {"config": "next"}, {"infrastructure": "metal-2"}])
    for pool in scopes:
        simulation.change(pool, **change)
    return simulation


@pytest.mark.parametrize("seed", SEEDS)
def test_a_healthy_world_never_ends_in_breach(seed: int) -> None:
    print(REPLAY.format(seed=seed))
    simulation = random_world(Random(seed), seed)
    deleting, down = [], []
    simulation.each_event.append(lambda: deleting.append(sum(m.deleted is not None for m in simulation.machines())))
    simulation.each_event.append(lambda: down.append(simulation.down_now("workers")))
    ending, said = drive(simulation)
    assert ending.exit == Exit.DONE, said
    assert all(m.up_to_date and m.serving for m in simulation.machines())
    assert max(deleting) <= 2, "one per scope"
    assert max(down) <= 1


def strike(simulation: Simulation, random: Random) -> None:
    """While a new machine is coming up, another one of its scope becomes NotReady, at a random moment."""
    pool = random.choice([pool for pool in simulation.pools() if pool.generation > 1])
    coming = f"{pool.name}-{pool.replicas + random.randint(1, pool.replicas)}"

    def hit() -> None:
        others = [m for m in simulation.machines(pool) if m.name != coming and m.deleted is None and m.ready()]
        faults.not_ready(simulation, random.choice(others).name)

    moment = random.uniform(0, 250)  # the new machine needs 300 s or more
    simulation.once(lambda: simulation.machine(coming) is not None, lambda: simulation.engine.after(moment, hit))


def strike_beside_a_deletion(simulation: Simulation, random: Random) -> None:
    """The same while an old machine is deleting, so that two machines are down and one of them goes on purpose."""
    pool = random.choice([pool for pool in simulation.pools() if pool.generation > 1])
    leaving = f"{pool.name}-{random.randint(1, pool.replicas)}"

    def gone_soon() -> bool:
        machine = simulation.machine(leaving)
        return machine is not None and machine.deleted is not None and not machine.ready()

    def hit() -> None:
        others = [m for m in simulation.machines(pool) if m.name != leaving and m.ready()]
        faults.not_ready(simulation, random.choice(others).name)

    simulation.once(gone_soon, lambda: simulation.engine.after(random.uniform(0, 50), hit))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("blow", [strike, strike_beside_a_deletion])
def test_a_second_failure_ends_at_the_first_offending_look(
    seed: int, blow: Callable[[Simulation, Random], None]
) -> None:
    print(REPLAY.format(seed=seed))
    random = Random(seed)
    simulation = random_world(random, seed)
    offence = Offence(simulation)
    blow(simulation, random)
    ending, said = drive(simulation)
    assert ending.exit == Exit.REFUSED, said
    assert offence.suspected < math.inf
    ended = simulation.engine.seconds
    assert offence.suspected <= ended <= offence.at + COALESCE + 0.01, f"{offence.at}: {said}"
    moving = any(not m.up_to_date for m in simulation.machines())
    assert ("cluster.x-k8s.io/paused=true" in ending.sentence) == moving, "the brake, where something still moves"
