"""The verbs against a simulated management cluster: endings, permissions, outages."""

import io
from dataclasses import dataclass, field
from typing import Any

import pytest

from guards.exits import Exit
from guards.journal import Journal
from guards.kube.access import MACHINE, WORKFLOW, Kind
from guards.kube.errors import Forbidden, NotServed, WentBack
from guards.kube.ports import Object
from guards.naming import triggered_workflow
from guards.simulator.simulation import Simulation
from guards.steps import World, run_step
from tests.core.builders import parameters


@dataclass
class Run:
    """One verb against one simulation, and what it printed."""

    simulation: Simulation
    out: io.StringIO = field(default_factory=io.StringIO)

    def step(self, verb: str, **changes: object) -> Any:
        world = World(self.simulation, self.simulation, Journal(self.out))
        return run_step(verb, world, parameters(**changes))

    @property
    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()


def rolling() -> Simulation:
    simulation = Simulation()
    simulation.change("homelab-workers", version="v1.35.1")
    return simulation


def test_the_first_line_says_that_it_only_watches() -> None:
    run = Run(Simulation())
    run.step("preflight")
    assert "only watches" in run.lines[0]


def test_the_last_line_is_the_ending() -> None:
    run = Run(Simulation())
    ending = run.step("preflight")
    assert ending.exit is Exit.DONE
    assert run.lines[-1].endswith(f"ok: {ending.sentence}")


@pytest.mark.parametrize("verb", ["preflight", "control-plane", "workers"])
@pytest.mark.parametrize("right", [("list", "machines"), ("watch", "machinesets"), ("get", "clusters"),
                                   ("watch", "metalmachines"), ("list", "talosconfigs")])  # fmt: skip
def test_a_missing_permission_is_77_at_once_and_named(verb: str, right: tuple[str, str]) -> None:
    simulation = rolling()
    simulation.revoked.add(right)
    before = simulation.now()
    ending = Run(simulation).step(verb)
    assert ending.exit is Exit.FORBIDDEN
    assert " ".join(right) in ending.sentence
    assert "kubectl apply -k" in ending.sentence
    assert simulation.now() == before


def test_workers_need_no_right_on_the_control_plane() -> None:
    simulation = Simulation()
    simulation.revoked |= {(verb, kind) for verb in ("get", "list", "watch")
                           for kind in ("taloscontrolplanes", "talosconfigs", "metalmachines")}  # fmt: skip
    assert Run(simulation).step("preflight", scope="workers").exit is Exit.DONE


def test_the_own_workflow_must_be_readable_in_a_pod() -> None:
    simulation = Simulation()
    simulation.revoked.add(("get", "workflows"))
    assert Run(simulation).step("preflight", workflowNamespace="argo").exit is Exit.FORBIDDEN


def test_a_permission_that_goes_in_mid_run_ends_it_with_77() -> None:
    simulation = rolling()
    simulation.at(300, lambda: simulation.revoked.add(("list", "machines")))
    ending = Run(simulation).step("workers")
    assert ending.exit is Exit.FORBIDDEN
    assert "machines" in ending.sentence


def test_an_unknown_cluster_says_where_to_look() -> None:
    ending = Run(Simulation()).step("preflight", clusterName="homelap")
    assert ending.exit is Exit.REFUSED
    assert "homelap" in ending.sentence
    assert "kubectl get clusters -A" in ending.sentence


def test_a_step_outside_the_scope_has_nothing_to_do() -> None:
    run = Run(Simulation())
    assert run.step("control-plane", scope="workers").exit is Exit.DONE
    assert run.simulation.requests == 0


def test_a_step_refuses_what_preflight_would() -> None:
    simulation = rolling()
    simulation.change("homelab-cp", max_surge=1, version="v1.35.1")
    ending = Run(simulation).step("control-plane")
    assert ending.exit is Exit.REFUSED
    assert "[max-surge]" in ending.sentence


# the management API goes away


@pytest.mark.parametrize(("minutes", "code"), [(14, Exit.DONE), (16, Exit.UNREACHABLE)])
def test_an_outage_is_sat_out_for_a_quarter_of_an_hour(minutes: int, code: Exit) -> None:
    simulation = rolling()
    simulation.at(60, lambda: setattr(simulation, "reachable", False))

    def back() -> None:
        simulation.reachable = True
        simulation.resync()

    simulation.at(60 + minutes * 60, back)
    run = Run(simulation)
    assert run.step("workers", scope="workers").exit is code
    assert sum("could not look" in line for line in run.lines) == 1


class Restored(Simulation):
    """From request 40 on its lists are older than what was seen, and stay so."""

    def _call(self) -> None:
        super()._call()
        if self.requests > 40:
            raise WentBack("list machines: stale list, for 300s: was etcd restored from a backup? Next: compare")


def test_a_restored_etcd_is_a_refusal_and_no_bug() -> None:
    simulation = Restored()
    simulation.change("homelab-workers", version="v1.35.1")
    ending = Run(simulation).step("workers", scope="workers")
    assert ending.exit is Exit.REFUSED, "not retried: another process would know nothing of the newer state"
    assert "refused: list machines: stale list, for 300s" in ending.sentence


class NoMachines(Simulation):
    def served_version(self, kind: Kind) -> str:
        if kind is MACHINE:
            raise NotServed("machines.cluster.x-k8s.io is served at v1beta3; expected v1beta2, v1beta1")
        return super().served_version(kind)


def test_a_kind_that_is_not_served_is_78() -> None:
    ending = Run(NoMachines()).step("preflight")
    assert ending.exit is Exit.CONTRACT
    assert "v1beta3" in ending.sentence


class OneWorkflow(Simulation):
    """Knows one Workflow by name."""

    workflow = ""

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        if kind is WORKFLOW and name == self.workflow:
            return {"metadata": {"name": name}}
        return super().get(kind, namespace, name)


@pytest.mark.parametrize(("exists", "asked", "decision"), [(True, "1", "superseded"), (False, "1", "roll"),
                                                           (True, "2", "roll"), (True, "", "roll")])  # fmt: skip
def test_superseded_only_by_an_existing_run_of_the_live_generation(exists: bool, asked: str, decision: str) -> None:
    simulation = OneWorkflow()
    simulation.change("homelab-cp", version="v1.35.1")
    live = simulation.control_plane
    assert live.generation == 2
    if exists:
        simulation.workflow = triggered_workflow(live.name, live.uid, 2)
    ending = Run(simulation).step("preflight", tcpGeneration=asked, workflowNamespace="argo")
    assert ending.decision == decision


def test_forbidden_says_who_may_not_what() -> None:
    simulation = Simulation()
    simulation.revoked.add(("list", "machines"))
    with pytest.raises(Forbidden, match="cannot list"):
        simulation.list(MACHINE, "default", "", dict)


def test_a_full_run_costs_few_requests_while_it_waits() -> None:
    """Idle: one look a poll interval, of the Cluster, its control plane and its Machines; all kinds every 5 minutes."""
    simulation = Simulation()
    simulation.change("homelab-cp", version="v1.35.1")
    simulation.plan("homelab-cp-4", boot=float("inf"))
    run = Run(simulation)
    counted: list[int] = []
    simulation.at(1200, lambda: counted.append(simulation.requests))
    simulation.at(1800, lambda: counted.append(simulation.requests))
    assert run.step("control-plane").exit is Exit.TIMED_OUT
    assert (counted[1] - counted[0]) / 10 <= 15
