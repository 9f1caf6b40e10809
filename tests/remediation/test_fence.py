"""The Lease: one holder, a memory that outlives the pod, and nothing done by whoever lost it."""

import json
from typing import Any

import pytest

from guards.exits import Exit
from guards.kube.access import LEASE, WORKFLOW
from guards.simulator import faults
from guards.simulator.scenarios import WORKERS
from guards.simulator.simulation import RUN_NAMESPACE, Simulation
from guards.steps import run_step
from tests.remediation.bench import LEASE_NAME, MINUTE, RUN, UID, Bench, hang_at_birth, next_run

WORKER = f"{WORKERS}-4"


class Killed(BaseException):
    """The pod is gone, without a last word."""


def lease(world: Simulation) -> Any:
    return world.get(LEASE, "default", LEASE_NAME)


def annotation(world: Simulation, name: str) -> Any:
    return json.loads(lease(world)["metadata"]["annotations"][f"capi-rollout/{name}"])


def killed_at(bench: Bench, minutes: float) -> None:
    """Run the step until the pod is killed; Argo then starts another one."""

    def kill() -> None:
        raise Killed

    bench.simulation.at(minutes * MINUTE, kill)
    with pytest.raises(Killed):
        bench.run()
    bench.again()


def test_the_holder_is_the_workflow_and_the_report_hands_over() -> None:
    bench = Bench().roll()
    assert bench.run().exit is Exit.DONE
    spec = lease(bench.simulation)["spec"]
    assert spec["holderIdentity"] == f"{RUN_NAMESPACE}/{RUN}/{UID}"
    assert spec["leaseDurationSeconds"] == 60
    assert annotation(bench.simulation, "outcome")["exit"] == 0
    bench.simulation.put_workflow(RUN, UID, nodes={})
    run_step("report", bench.world(), bench.settings())
    assert lease(bench.simulation)["spec"]["holderIdentity"] == ""


def test_it_is_renewed_while_it_waits() -> None:
    bench = Bench(parameters={"pollInterval": "10m", "maxRemediations": "0"}).roll()
    bench.simulation.plan(WORKER, boot=float("inf"))
    ages: list[float] = []

    def measure() -> None:
        renewed = lease(bench.simulation)["spec"]["renewTime"]
        now = bench.simulation.now()
        ages.append(now.timestamp() - now.fromisoformat(renewed).timestamp())

    for minute in range(15, 55):
        bench.simulation.at(minute * MINUTE, measure)
    bench.run()
    assert len(ages) == 40
    assert max(ages) <= 16


def test_a_run_whose_pods_live_40_minutes_times_out_after_60_without_progress() -> None:
    bench = Bench(parameters={"maxRemediations": "0"}).roll()
    hang_at_birth(bench, WORKER, heals=True)
    killed_at(bench, 40)
    ending = bench.run()
    assert ending.exit is Exit.TIMED_OUT
    elapsed = bench.simulation.engine.seconds / MINUTE
    assert 68 <= elapsed <= 70, "60 minutes after the last milestone, at 8 minutes; not after the last start"


def test_a_second_pod_acts_on_what_the_first_one_saw() -> None:
    bench = Bench().roll()
    hang_at_birth(bench, WORKER, heals=True)
    killed_at(bench, 30)
    assert bench.run().exit is Exit.DONE
    (instants,) = [found for found in bench.simulation.reboots.values() if found]
    assert 38 <= (instants[0] - bench.simulation.engine.start).total_seconds() / MINUTE <= 40


def test_argo_retry_gives_a_new_patience_but_no_new_budget() -> None:
    bench = Bench(parameters={"maxRemediations": "1"}).roll()
    hang_at_birth(bench, WORKER, heals=False)
    assert bench.run().exit is Exit.REFUSED
    bench.simulation.advance(5 * 3600)
    bench.again()
    ending = bench.run()
    assert ending.exit in (Exit.REFUSED, Exit.TIMED_OUT)
    assert (bench.reboots, bench.deletes) == (1, 0), bench.text


def test_a_lease_that_was_deleted_ends_all_acting_also_after_a_restart() -> None:
    bench = Bench().roll()
    hang_at_birth(bench, WORKER, heals=True)
    bench.simulation.at(20 * MINUTE, lambda: faults.drop_lease(bench.simulation, LEASE_NAME))
    killed_at(bench, 42)
    ending = bench.run()
    assert (ending.exit, bench.reboots) == (Exit.TIMED_OUT, 0), bench.text
    assert "Lease capi-rollout-homelab was deleted" in bench.text
    assert "is not this run's any more" in bench.text


def test_a_lease_that_was_stolen_ends_all_acting() -> None:
    bench = Bench().roll()
    world = bench.simulation
    hang_at_birth(bench, WORKER, heals=True)
    world.at(20 * MINUTE, lambda: faults.edit_lease(world, LEASE_NAME, holderIdentity="argo/other/uid-2"))
    ending = bench.run()
    assert (ending.exit, bench.reboots) == (Exit.TIMED_OUT, 0), bench.text
    assert "taken by argo/other/uid-2" in bench.text
    assert lease(world)["spec"]["holderIdentity"] == "argo/other/uid-2"


def holding(world: Simulation, holder: str) -> None:
    """Somebody else holds the Lease from the beginning."""
    spec = {
        "holderIdentity": holder,
        "leaseDurationSeconds": 60,
        "leaseTransitions": 0,
        "acquireTime": "2026-01-05T00:00:00.000000Z",
        "renewTime": "2026-01-05T00:00:00.000000Z",
    }
    metadata = {"name": LEASE_NAME, "namespace": "default"}
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
    world.create(LEASE, "default", body)


@pytest.mark.parametrize(
    ("holder", "sentence"),
    [
        (f"{RUN_NAMESPACE}/other/uid-2", "which is running"),
        ("elsewhere/other/uid-2", "of another installation, whose state cannot be read"),
        ("somebody", "which is no Workflow: it is never taken over"),
    ],
    ids=["running", "elsewhere", "stranger"],
)
def test_a_living_holder_is_never_taken_over(holder: str, sentence: str) -> None:
    bench = Bench().roll()
    bench.simulation.put_workflow("other", "uid-2")
    holding(bench.simulation, holder)
    preflight = run_step("preflight", bench.world(), bench.settings())
    assert preflight.exit is Exit.REFUSED
    assert sentence in preflight.sentence
    hang_at_birth(bench, WORKER, heals=True)
    ending = bench.run()
    assert (ending.exit, bench.reboots) == (Exit.TIMED_OUT, 0)
    assert sentence in bench.text
    assert lease(bench.simulation)["spec"]["holderIdentity"] == holder


@pytest.mark.parametrize("how", ["finished", "gone", "another-uid"])
def test_a_dead_holder_is_taken_over_after_a_whole_lease_duration(how: str) -> None:
    bench = Bench().roll()
    world = bench.simulation
    if how == "finished":
        world.put_workflow("other", "uid-2", phase="Failed")
    if how == "another-uid":
        world.put_workflow("other", "uid-3")
    holding(world, f"{RUN_NAMESPACE}/other/uid-2")
    taken: list[float] = []
    world.once(lambda: lease(world)["spec"]["holderIdentity"].endswith(UID), lambda: taken.append(world.engine.seconds))
    assert bench.run().exit is Exit.DONE
    assert 60 <= taken[0] <= 120
    assert lease(world)["spec"]["leaseTransitions"] == 1


def test_a_dead_holder_that_still_renews_is_alive() -> None:
    """A pod that outlived its Workflow: as long as the Lease moves, somebody is there."""
    bench = Bench().roll()
    world = bench.simulation
    world.put_workflow("other", "uid-2", phase="Failed")
    holding(world, f"{RUN_NAMESPACE}/other/uid-2")
    for second in range(10, 7200, 10):
        world.at(second, lambda: faults.edit_lease(world, LEASE_NAME))
    hang_at_birth(bench, WORKER, heals=True)
    bench.run()
    assert bench.reboots == 0
    assert lease(world)["spec"]["holderIdentity"] == f"{RUN_NAMESPACE}/other/uid-2"


@pytest.mark.parametrize(
    ("phase", "nodes", "sentence"),
    [
        ("Succeeded", None, "is Succeeded, must be Running"),
        ("Running", {}, "not among its nodes, must be Running"),
    ],
    ids=["finished-workflow", "finished-step"],
)
def test_a_zombie_does_nothing(phase: str, nodes: dict[str, Any] | None, sentence: str) -> None:
    """The pod runs on although Argo has given it up."""
    bench = Bench().roll()
    world = bench.simulation
    hang_at_birth(bench, WORKER, heals=True)
    known = world.get(WORKFLOW, RUN_NAMESPACE, RUN)["status"]["nodes"] if nodes is None else nodes
    world.at(20 * MINUTE, lambda: world.put_workflow(RUN, UID, phase=phase, nodes=known))
    ending = bench.run()
    assert (ending.exit, bench.reboots) == (Exit.TIMED_OUT, 0), bench.text
    assert sentence in bench.text


@pytest.mark.parametrize("name", ["budget", "intent", "outcome", "progress"])
def test_a_ledger_that_cannot_be_read_stops_everything(name: str) -> None:
    bench = Bench().roll()
    assert bench.run().exit is Exit.DONE
    record = bench.simulation.find("Lease", LEASE_NAME)
    assert record is not None
    record.annotations[f"capi-rollout/{name}"] = '{"half": '
    bench.simulation.touch(record)
    bench.simulation.change(WORKERS, version="v1.35.9")
    again = next_run(bench, "another-run")
    ending = again.run()
    assert ending.exit is Exit.REFUSED
    assert f"annotation capi-rollout/{name} cannot be read" in ending.sentence
    assert run_step("preflight", again.world(), again.settings()).exit is Exit.REFUSED
