"""One fault at every single request of a run: an outage changes nothing, a missing permission never ends well."""

from functools import cache

import pytest

from guards.core.verdict import Ending
from guards.exits import Exit
from guards.journal import Journal
from guards.kube.errors import Forbidden, KubeError, Unreachable
from guards.parameters import Parameters
from guards.simulator import LAB, Simulation
from guards.steps import World, run_step

WORKERS = "homelab-workers"


class Faulty(Simulation):
    """Fails the request with this number."""

    def __init__(self, number: int, error: KubeError) -> None:
        super().__init__(timings=LAB, workers={WORKERS: 2})
        self._number, self._error = number, error
        self.change(WORKERS, config=f"{WORKERS}-2")

    def _call(self) -> None:
        super()._call()
        if self.requests == self._number:
            raise self._error


def run(simulation: Simulation) -> Ending:
    """preflight and workers, the steps of a run with scope workers."""
    parameters = Parameters(cluster_name="homelab", scope="workers")
    world = World(simulation, simulation, Journal(Silent()))
    ending = run_step("preflight", world, parameters)
    return run_step("workers", world, parameters) if ending.decision == "roll" else ending


class Silent:
    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


@cache
def length() -> int:
    """Requests of the run without a fault."""
    simulation = Faulty(0, Unreachable())
    assert run(simulation).exit == Exit.DONE
    assert simulation.requests > 50
    return simulation.requests


def test_no_single_outage_changes_the_ending() -> None:
    endings = {number: run(Faulty(number, Unreachable("timed out"))) for number in range(1, length() + 1)}
    assert {number: ending for number, ending in endings.items() if ending.exit != Exit.DONE} == {}


def test_no_permission_lost_in_mid_run_goes_unnoticed() -> None:
    endings = {number: run(Faulty(number, Forbidden("no"))) for number in range(1, length() + 1)}
    assert {ending.exit for ending in endings.values()} == {Exit.FORBIDDEN}


@pytest.mark.parametrize("verb", ["get", "list", "watch"])
@pytest.mark.parametrize("plural", ["machines", "machinesets", "machinedeployments", "clusters"])
def test_a_permission_that_was_never_there_is_named_before_the_roll(verb: str, plural: str) -> None:
    simulation = Faulty(0, Unreachable())
    simulation.revoked.add((verb, plural))
    ending = run(simulation)
    assert ending.exit == Exit.FORBIDDEN
    assert f"{verb} {plural}.cluster.x-k8s.io in default" in ending.sentence
