"""One step of a run that may act, in a simulated cluster: what happened to the machines is counted by the world."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from guards.core.verdict import Ending
from guards.journal import Journal
from guards.parameters import Parameters
from guards.simulator import etcd_faults
from guards.simulator.scenarios import CONTROL_PLANE, NEW_VERSION, WORKERS
from guards.simulator.simulation import RUN_NAMESPACE, Simulation
from guards.simulator.talos import SimulatedTalos
from guards.simulator.timing import NEVER
from guards.steps import World, run_step

RUN, UID = "capi-homelab-x7k2p", "11111111-2222-3333-4444-555555555555"
MINUTE = 60.0
LEASE_NAME = "capi-rollout-homelab"


def nodes(step: str, *phases: str) -> dict[str, Any]:
    """Workflow nodes of one step with a retryStrategy; a phase for each attempt, the last one counts for the step."""
    found: dict[str, Any] = {
        "retry": {"type": "Retry", "templateName": step, "phase": phases[-1], "startedAt": "2026-01-05T00:00:00Z"}
    }
    for number, phase in enumerate(phases):
        started = f"2026-01-05T00:00:{number:02}Z"
        found[f"pod-{number}"] = {"type": "Pod", "templateName": step, "phase": phase, "startedAt": started}
    return found


@dataclass
class Bench:
    """A world in which a roll has begun, and the step that supervises it."""

    step: str = "workers"
    simulation: Simulation = field(default_factory=lambda: Simulation(remediator=True, seed=7))
    parameters: dict[str, str] = field(default_factory=dict)
    said: io.StringIO = field(default_factory=io.StringIO)
    attempts: int = 1
    run_name: str = RUN

    def __post_init__(self) -> None:
        self.talos = SimulatedTalos(self.simulation)
        self.simulation.put_workflow(self.run_name, self.uid, nodes=nodes(self.step, "Running"))

    @property
    def uid(self) -> str:
        return UID if self.run_name == RUN else f"uid-of-{self.run_name}"

    def roll(self) -> "Bench":
        self.simulation.change(CONTROL_PLANE if self.step == "control-plane" else WORKERS, version=NEW_VERSION)
        return self

    def world(self) -> World:
        return World(self.simulation, self.simulation, Journal(self.said), self.talos)

    def run(self, **changes: str) -> Ending:
        """Run the step to its end."""
        return run_step(self.step, self.world(), self.settings(**changes))

    def settings(self, **changes: str) -> Parameters:
        own = {
            "clusterName": "homelab",
            "scope": self.step,
            "maxRemediations": "2",
            "workflowName": self.run_name,
            "workflowNamespace": RUN_NAMESPACE,
            "workflowUid": self.uid,
            "nodeName": "management-1",
        }
        return Parameters.model_validate({**own, **self.parameters, **changes})

    def again(self) -> None:
        """Argo starts another pod of the step."""
        self.attempts += 1
        phases = ["Failed"] * (self.attempts - 1) + ["Running"]
        self.simulation.put_workflow(self.run_name, self.uid, nodes=nodes(self.step, *phases))

    @property
    def reboots(self) -> int:
        return sum(len(instants) for instants in self.simulation.reboots.values())

    @property
    def deletes(self) -> int:
        return len(self.simulation.deletes_by_api)

    @property
    def text(self) -> str:
        return self.said.getvalue()


def hang_at_birth(bench: Bench, name: str, *, heals: bool) -> None:
    """The machine of this name registers a Node and gets no further: no end of its boot, out of etcd, never Ready.

    A reboot heals it, or only a new Machine does. (Were it only not Ready, the real provider would go on.)
    """
    world = bench.simulation
    world.plan(name, settle=NEVER, ready=NEVER)
    world.once(in_etcd(world, name), lambda: etcd_faults.leave_etcd(world, name))
    if not heals:
        world.broken.add(name)


def with_node(world: Simulation, name: str) -> Callable[[], bool]:
    """Condition: the machine of this name has a Node."""

    def holds() -> bool:
        machine = world.machine(name)
        return machine is not None and machine.node is not None

    return holds


def serving(world: Simulation, name: str) -> Callable[[], bool]:
    """Condition: the machine of this name really serves."""
    return lambda: (machine := world.machine(name)) is not None and machine.serving


def in_etcd(world: Simulation, name: str) -> Callable[[], bool]:
    """Condition: the machine of this name is a member of etcd, with or without a vote."""
    return lambda: (machine := world.machine(name)) is not None and world.etcd.member_of(machine) is not None


def votes(world: Simulation, name: str) -> Callable[[], bool]:
    """Condition: the machine of this name is a voting member of etcd."""
    return lambda: (machine := world.machine(name)) is not None and world.etcd.member_of(machine) in world.etcd.voters


def next_run(bench: Bench, name: str) -> Bench:
    """Another Workflow in the same world, after the first one has ended."""
    bench.simulation.put_workflow(bench.run_name, bench.uid, phase="Failed")
    return Bench(bench.step, bench.simulation, bench.parameters, run_name=name)
