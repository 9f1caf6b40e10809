"""What forbids an act on a stuck machine: nothing is touched, and the last word names the rule."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from guards.core.evidence import Silence
from guards.exits import Exit
from guards.simulator import etcd_faults, faults
from guards.simulator.scenarios import CONTROL_PLANE, WORKERS
from guards.simulator.simulation import Simulation
from tests.remediation.bench import MINUTE, Bench, hang_at_birth

CP, WORKER = f"{CONTROL_PLANE}-4", f"{WORKERS}-4"
Lever = Callable[[Simulation], object]

ON_A_WORKER: list[tuple[str, Lever]] = [
    ("R-paused", lambda w: faults.pause(w, "Machine", WORKER)),
    ("R-hands-off", lambda w: annotate(w, WORKER, "cluster.x-k8s.io/skip-remediation")),
    ("R-hands-off", lambda w: annotate(w, WORKER, "cluster.x-k8s.io/remediate-machine")),
    ("R-hold", lambda w: annotate_cluster(w, "capi-rollout/hold", "disk swap")),
    ("R-maintenance", lambda w: faults.silence(w, WORKER, Silence.UNKNOWN_AUTHORITY)),
    ("R-silence", lambda w: faults.silence(w, WORKER, Silence.DENIED)),
    ("R-silence", lambda w: faults.silence(w, WORKER, Silence.BROKEN)),
    ("R-silence", lambda w: faults.silence(w, f"{WORKERS}-2", Silence.UNREACHABLE)),
    ("R-silence", lambda w: faults.silence(w, f"{WORKERS}-3", Silence.UNKNOWN_AUTHORITY)),
    ("R-identity", lambda w: faults.rename(w, WORKER, "somebody-else")),
    ("R-identity", lambda w: faults.rename(w, f"{WORKERS}-2", "somebody-else")),
    ("R-stage", lambda w: faults.stage(w, WORKER, "installing")),
    ("R-stage", lambda w: faults.stage(w, WORKER, "upgrading")),
    ("R-stage", lambda w: faults.stage(w, WORKER, "resetting")),
    ("R-stage", lambda w: faults.stage(w, WORKER, "maintenance")),
]
ON_A_CONTROL_PLANE: list[tuple[str, Lever]] = [
    ("Q-learner", lambda w: etcd_faults.demote(w, f"{CONTROL_PLANE}-2")),
    ("Q-alarm", lambda w: etcd_faults.raise_alarm(w, f"{CONTROL_PLANE}-2")),
    ("Q-silent", lambda w: etcd_faults.stop_etcd(w, f"{CONTROL_PLANE}-2")),
    ("Q-lists", lambda w: etcd_faults.differ(w, f"{CONTROL_PLANE}-2", f"{CONTROL_PLANE}-3")),
    ("Q-leader", lambda w: etcd_faults.leaderless(w, f"{CONTROL_PLANE}-2")),
    ("R-silence", lambda w: faults.silence(w, f"{CONTROL_PLANE}-2", Silence.UNREACHABLE)),
]


def annotate(world: Simulation, name: str, key: str, value: str = "") -> None:
    machine = world.machine(name)
    assert machine is not None
    machine.annotations[key] = value
    world.touch(machine)


def annotate_cluster(world: Simulation, key: str, value: str) -> None:
    world.cluster.annotations[key] = value
    world.touch(world.cluster)


def refused(step: str, stuck: str, lever: Lever, **parameters: str) -> Bench:
    """Run with a machine stuck from 9 minutes on, and the lever pulled at 20 minutes, before it counts as stuck."""
    bench = Bench(step, parameters=parameters).roll()
    hang_at_birth(bench, stuck, heals=False)
    bench.simulation.at(20 * MINUTE, lambda: lever(bench.simulation))
    ending = bench.run()
    assert (bench.reboots, bench.deletes) == (0, 0), bench.text
    assert ending.exit in (Exit.TIMED_OUT, Exit.REFUSED), bench.text
    return bench


@pytest.mark.parametrize(("rule", "lever"), ON_A_WORKER, ids=range(len(ON_A_WORKER)))
def test_what_forbids_an_act_on_a_worker(rule: str, lever: Lever) -> None:
    bench = refused("workers", WORKER, lever)
    assert f"[{rule}]" in bench.text.splitlines()[-1], "the last word names the reason"


@pytest.mark.parametrize(("rule", "lever"), ON_A_CONTROL_PLANE, ids=range(len(ON_A_CONTROL_PLANE)))
def test_what_forbids_an_act_on_a_control_plane_machine(rule: str, lever: Lever) -> None:
    bench = refused("control-plane", CP, lever)
    assert f"[{rule}]" in bench.text


def test_a_stuck_drain_is_reported_and_never_acted_on() -> None:
    bench = Bench().roll()
    bench.simulation.plan(f"{WORKERS}-1", drain=float("inf"))
    ending = bench.run()
    assert (ending.exit, bench.reboots, bench.deletes) == (Exit.TIMED_OUT, 0, 0)
    assert "DrainingNode" in ending.sentence


def test_the_machine_this_runs_on_is_not_touched() -> None:
    bench = refused("workers", WORKER, lambda w: None, nodeName=WORKER)
    assert "[R-own-node]" in bench.text


def test_a_machine_that_was_down_before_the_run_is_not_touched() -> None:
    """It has been stuck for longer than the timeout when the run begins: nobody was waiting for it."""
    bench = Bench().roll()
    hang_at_birth(bench, WORKER, heals=True)
    bench.simulation.advance(75 * MINUTE)
    ending = bench.run()
    assert (ending.exit, bench.reboots, bench.deletes) == (Exit.TIMED_OUT, 0, 0), bench.text
    assert "[R-before]" in ending.sentence


def test_an_unreachable_workload_api_forbids_it() -> None:
    bench = refused("workers", WORKER, faults.cut_workload)
    assert "out of sight" in bench.text


def test_after_an_outage_it_looks_for_a_minute_first() -> None:
    """The candidate counts as stuck at 38 min; the management API is away from 30 to 39."""
    bench = Bench().roll()
    world = bench.simulation
    hang_at_birth(bench, WORKER, heals=True)
    world.at(30 * MINUTE, lambda: faults.cut_management(world, 9 * MINUTE))
    ending = bench.run()
    assert (ending.exit, bench.reboots) == (Exit.DONE, 1), bench.text
    assert "in sight for less than 1m" in bench.text
    (instants,) = [found for found in world.reboots.values() if found]
    assert (instants[0] - world.engine.start).total_seconds() >= 40 * MINUTE


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"roles": ("os:admin",)}, "--allow-talos-admin"),
        ({"roles": ("os:reader",)}, "a reboot needs os:operator"),
        ({"roles": ()}, "no role"),
    ],
)
def test_a_credential_that_must_not_be_used_is_refused_at_the_beginning(
    change: dict[str, object], sentence: str
) -> None:
    bench = Bench().roll()
    for key, value in change.items():
        setattr(bench.talos, key, value)
    ending = bench.run()
    assert ending.exit is Exit.REFUSED
    assert sentence in ending.sentence


def test_an_admin_credential_is_accepted_when_it_is_allowed() -> None:
    bench = Bench(parameters={"allowTalosAdmin": "true"}).roll()
    bench.talos.roles = ("os:admin",)
    hang_at_birth(bench, WORKER, heals=True)
    assert bench.run().exit is Exit.DONE
    assert bench.reboots == 1


def test_a_credential_that_ends_soon_is_refused_before_it_is_needed() -> None:
    bench = Bench().roll()
    hang_at_birth(bench, WORKER, heals=True)
    bench.talos.not_after = bench.simulation.now().replace(hour=0, minute=42)
    ending = bench.run()
    assert (ending.exit, bench.reboots) == (Exit.TIMED_OUT, 0), bench.text
    assert "the Talos credential ends in" in bench.text


def test_without_a_credential_it_only_watches_and_says_so() -> None:
    from guards.talos.ports import NoCredential

    bench = Bench().roll()
    bench.talos.unusable = NoCredential("no key default.homelab in /var/run/capi-rollout/talos")
    hang_at_birth(bench, WORKER, heals=True)
    ending = bench.run()
    assert (ending.exit, bench.reboots) == (Exit.TIMED_OUT, 0)
    assert "this only watches (no key default.homelab" in bench.text.splitlines()[0]


def test_with_remediation_off_nobody_is_asked() -> None:
    bench = Bench(simulation=Simulation(seed=7), parameters={"maxRemediations": "0"}).roll()
    hang_at_birth(bench, WORKER, heals=True)
    world = replace(bench.world(), talos=None)
    from guards.steps import run_step

    ending = run_step("workers", world, bench.settings())
    assert ending.exit is Exit.TIMED_OUT
    assert "waits for workers" in bench.text


def test_without_the_delete_permission_it_does_not_begin() -> None:
    bench = Bench(simulation=Simulation(seed=7)).roll()
    ending = bench.run()
    assert ending.exit is Exit.FORBIDDEN
    assert "delete machines.cluster.x-k8s.io in default" in ending.sentence
    assert Bench(simulation=Simulation(seed=7), parameters={"remediate": "reboot"}).run().exit is not Exit.FORBIDDEN
