"""Named worlds that teach: what happens in them, and the exit code a run must end with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from guards.exits import Exit
from guards.simulator import faults
from guards.simulator.simulation import Simulation
from guards.simulator.timing import NEVER
from guards.simulator.world import World

CLUSTER = "homelab"
CONTROL_PLANE, WORKERS = f"{CLUSTER}-cp", f"{CLUSTER}-workers"
NEW_VERSION = "v1.35.1"
MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """`prepare` sets the world up before the first look; `parameters` by their names in the workflow."""

    name: str
    summary: str
    expected: Exit
    prepare: Callable[[Simulation], None]
    workers: int = 3
    parameters: Mapping[str, str] = field(default_factory=dict)

    def simulation(self, seed: int = 0, api: str = "v1beta2") -> Simulation:
        """The world of this scenario at its first instant."""
        simulation = Simulation(seed=seed, api=api, workers={WORKERS: self.workers}, cluster=CLUSTER)
        self.prepare(simulation)
        return simulation


def commit(world: World) -> None:
    """One commit bumps the control plane and the workers, as the runbook's combined commit does."""
    world.change(CONTROL_PLANE, version=NEW_VERSION)
    world.change(WORKERS, version=NEW_VERSION)


def created(world: World, machine: str) -> Callable[[], bool]:
    """Condition: this Machine exists."""
    return lambda: world.machine(machine) is not None


def _nothing(world: World) -> None:
    pass


def _second_failure(world: World) -> None:
    world.change(WORKERS, version=NEW_VERSION)
    fail = partial(faults.power_loss, world, f"{WORKERS}-3")
    world.once(created(world, f"{WORKERS}-4"), lambda: world.engine.after(2 * MINUTE, fail))


def _stuck(world: World) -> None:
    world.change(WORKERS, version=NEW_VERSION)
    world.plan(f"{WORKERS}-4", boot=NEVER)


def _stuck_drain(world: World) -> None:
    world.change(WORKERS, version=NEW_VERSION)
    world.plan(f"{WORKERS}-1", drain=NEVER)


def _refusal(world: World) -> None:
    world.change(CONTROL_PLANE, version=NEW_VERSION, max_surge=1)


def _ready_after(seconds: float, world: World) -> None:
    world.change(CONTROL_PLANE, version=NEW_VERSION)
    for number in range(4, 7):
        world.plan(f"{CONTROL_PLANE}-{number}", ready=seconds)


def _paused(world: World) -> None:
    commit(world)
    faults.pause(world, "MachineDeployment", WORKERS)


def _brake(world: World) -> None:
    world.change(CONTROL_PLANE, version=NEW_VERSION)
    world.at(3 * MINUTE, partial(faults.pause, world, "TalosControlPlane", CONTROL_PLANE))
    world.at(25 * MINUTE, partial(faults.resume, world, "TalosControlPlane", CONTROL_PLANE))


def _blind(world: World) -> None:
    world.change(WORKERS, version=NEW_VERSION)
    world.at(8 * MINUTE, partial(faults.cut_workload, world))
    world.at(15 * MINUTE, partial(faults.restore_workload, world))


def _outage(world: Simulation) -> None:
    world.change(WORKERS, version=NEW_VERSION)
    world.at(5 * MINUTE, partial(faults.cut_management, world, 4 * MINUTE))


def _second_commit(world: World) -> None:
    world.change(WORKERS, version=NEW_VERSION)
    world.at(10 * MINUTE, partial(world.change, WORKERS, version="v1.35.2"))


def _scaled(world: World) -> None:
    world.change(WORKERS, version=NEW_VERSION)
    world.at(10 * MINUTE, partial(world.change, WORKERS, replicas=2))


ALL = (
    Scenario("healthy", "3 control-plane machines and 3 workers roll one by one", Exit.DONE, commit),
    Scenario("thirteen", "the same with 10 workers", Exit.DONE, commit, workers=10),
    Scenario("converged", "nothing to do", Exit.DONE, _nothing),
    Scenario("late-nodes", "Nodes are Ready 55 s late: the hand-over of G3", Exit.DONE, partial(_ready_after, 55.0)),
    Scenario(
        "too-late-nodes", "Nodes are Ready 5 min late: two control-plane machines are down", Exit.REFUSED,
        partial(_ready_after, 5 * MINUTE),
    ),
    Scenario("second-failure", "another worker dies while one is being replaced", Exit.REFUSED, _second_failure),
    Scenario("stuck", "a new worker never boots: no progress for workersTimeout", Exit.TIMED_OUT, _stuck),
    Scenario("stuck-drain", "an old worker never drains: no progress for workersTimeout", Exit.TIMED_OUT, _stuck_drain),
    Scenario("refusal", "maxSurge is 1: refused before the roll, with the brake", Exit.REFUSED, _refusal),
    Scenario("paused", "the MachineDeployment is paused: refused before the roll", Exit.REFUSED, _paused),
    Scenario("brake", "somebody pulls the brake in mid-run and releases it again", Exit.DONE, _brake),
    Scenario("blind", "the workload API is out of sight for 7 min: G4 waits", Exit.DONE, _blind),
    Scenario("outage", "the management API is away for 4 min", Exit.DONE, _outage),
    Scenario("second-commit", "a newer commit arrives in mid-run and is followed", Exit.DONE, _second_commit),
    Scenario("scaled", "replicas change in mid-run: the run ends", Exit.REFUSED, _scaled),
)  # fmt: skip

SCENARIOS = {scenario.name: scenario for scenario in ALL}
"""By name, in the order to list them."""
