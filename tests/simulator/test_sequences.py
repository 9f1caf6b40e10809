"""The simulated controllers move machines in the sequences recorded from the real ones."""

from guards.kube.access import MACHINE_SET, TALOS_CONTROL_PLANE
from guards.simulator import LAB, Simulation, faults
from guards.simulator.timing import NEVER
from tests.simulator.conftest import NAMESPACE, Recording, machines, run_until_rolled

CP, WORKERS = "homelab-cp", "homelab-workers"
SLOT = [(1, 0, 3), (1, 1, 3), (0, 0, 2), (0, 1, 3), (0, 0, 3)]
"""One worker: delete, noticed, gone, created, Ready."""


def lab(**world: object) -> Simulation:
    return Simulation(timings=LAB, **world)


def test_a_worker_roll_repeats_the_recorded_slot_three_times() -> None:
    simulation = lab()
    recording = Recording(simulation, WORKERS)
    simulation.change(WORKERS, config="homelab-workers-2")
    run_until_rolled(simulation, WORKERS)
    assert recording.counts == [(0, 0, 3), *SLOT * 3]
    assert recording.down == 1


def test_ten_workers_never_have_two_down() -> None:
    simulation = lab(workers={WORKERS: 10})
    recording = Recording(simulation, WORKERS)
    simulation.change(WORKERS, config="homelab-workers-2")
    run_until_rolled(simulation, WORKERS)
    assert max(recording.pairs) == (1, 1)
    assert recording.down == 1


def control_plane_roll(ready_after: float) -> list[tuple[int, int]]:
    """(deleting, notReady) of a control plane whose Nodes are Ready so many seconds after they register."""
    simulation = lab()
    for number in range(4, 7):
        simulation.plan(f"{CP}-{number}", ready=ready_after)
    recording = Recording(simulation, CP)
    simulation.change(CP, config="2")
    run_until_rolled(simulation, CP)
    return recording.pairs


def test_a_control_plane_with_quick_nodes_stays_at_one() -> None:
    pairs = control_plane_roll(0.5)
    assert pairs == [(0, 0), *[(1, 0), (1, 1), (0, 0), (0, 1), (0, 0)] * 3]


def test_a_control_plane_with_late_nodes_hands_over() -> None:
    assert max(control_plane_roll(6)) == (1, 2)


def test_a_control_plane_with_very_late_nodes_takes_all_three() -> None:
    pairs = control_plane_roll(30)
    assert pairs.index((1, 1)) < pairs.index((1, 2)) < pairs.index((0, 2)) < pairs.index((1, 3))


def test_the_status_of_the_control_plane_is_no_witness() -> None:
    """3 of 3 ready while a Machine is being deleted, and observedGeneration is current: facts §2.3."""
    simulation = lab()
    simulation.change(CP, config="2")
    simulation.advance(100, lambda: any(m["status"].get("phase") == "Deleting" for m in machines(simulation, CP)))
    item = simulation.get(TALOS_CONTROL_PLANE, NAMESPACE, CP)
    assert item["status"]["ready"] is True
    assert item["status"]["observedGeneration"] == item["metadata"]["generation"]


def test_a_version_bump_blocks_the_new_worker_until_the_control_plane_is_through() -> None:
    simulation = lab()
    simulation.change(CP, version="v1.36.0")
    simulation.change(WORKERS, version="v1.36.0")
    simulation.advance(15)
    assert len(machines(simulation, WORKERS)) == 2
    sets = simulation.list(MACHINE_SET, NAMESPACE, "", lambda item: item["status"]["conditions"])
    assert '"ControlPlaneIsStable" preflight check failed' in str(sets)
    run_until_rolled(simulation, CP)
    run_until_rolled(simulation, WORKERS)


def test_workers_ahead_of_the_control_plane_wait_for_ever() -> None:
    simulation = lab()
    simulation.change(WORKERS, version="v1.36.0")
    simulation.advance(3600)
    assert len(machines(simulation, WORKERS)) == 2
    sets = simulation.list(MACHINE_SET, NAMESPACE, "", lambda item: item["status"]["conditions"])
    assert '"KubernetesVersionSkew" preflight check failed' in str(sets)


def test_a_configuration_change_of_both_rolls_both_at_once() -> None:
    simulation = lab()
    simulation.change(CP, config="2")
    simulation.change(WORKERS, config="homelab-workers-2")
    simulation.advance(60, lambda: simulation.down_now("control-plane") + simulation.down_now("workers") == 2)
    assert (simulation.down_now("control-plane"), simulation.down_now("workers")) == (1, 1)


def test_a_worker_that_is_down_already_goes_first() -> None:
    simulation = lab()
    faults.not_ready(simulation, f"{WORKERS}-3")
    simulation.change(WORKERS, config="homelab-workers-2")
    simulation.advance(60, lambda: any(m.deleted for m in simulation.machines()))
    assert [m.name for m in simulation.machines() if m.deleted] == [f"{WORKERS}-3"]


def test_the_oldest_control_plane_machine_goes_first_and_only_when_etcd_is_healthy() -> None:
    simulation = lab()
    faults.power_loss(simulation, f"{CP}-2")
    simulation.change(CP, config="2")
    simulation.advance(600)
    assert [m["metadata"]["name"] for m in machines(simulation, CP)] == [f"{CP}-1", f"{CP}-2", f"{CP}-3"]
    faults.recover(simulation, f"{CP}-2")
    simulation.advance(600, lambda: any(m.deleted for m in simulation.machines()))
    assert [m.name for m in simulation.machines() if m.deleted] == [f"{CP}-1"]


def test_a_single_control_plane_machine_never_progresses() -> None:
    simulation = lab(control_planes=1)
    simulation.change(CP, config="2")
    simulation.advance(3600)
    assert [m["metadata"]["name"] for m in machines(simulation, CP)] == [f"{CP}-1"]


def test_a_surge_machine_gets_no_server() -> None:
    simulation = lab()
    simulation.change(WORKERS, config="homelab-workers-2", max_surge=1, max_unavailable=0)
    simulation.advance(3600)
    new = next(m for m in machines(simulation, WORKERS) if m["metadata"]["name"] == f"{WORKERS}-4")
    assert new["status"]["initialization"]["infrastructureProvisioned"] is False
    assert simulation.down_now("workers") == 0


def test_a_machine_that_a_person_deletes_is_replaced() -> None:
    simulation = lab()
    faults.delete(simulation, f"{WORKERS}-2")
    simulation.advance(60)
    names = [m["metadata"]["name"] for m in machines(simulation, WORKERS)]
    assert names == [f"{WORKERS}-1", f"{WORKERS}-3", f"{WORKERS}-4"]


def test_a_stuck_drain_says_so_for_ever() -> None:
    simulation = lab()
    simulation.plan(f"{WORKERS}-1", drain=NEVER)
    simulation.change(WORKERS, config="homelab-workers-2")
    simulation.advance(3600)
    stuck = next(m for m in machines(simulation, WORKERS) if m["metadata"]["name"] == f"{WORKERS}-1")
    conditions = {c["type"]: c for c in stuck["status"]["conditions"]}
    assert conditions["Deleting"]["reason"] == "DrainingNode"
    assert "since more than 15m, stage: DrainingNode" in conditions["Ready"]["message"]
    assert len(machines(simulation, WORKERS)) == 3


def test_a_paused_control_plane_stops_after_the_machine_in_hand() -> None:
    simulation = lab()
    simulation.change(CP, config="2")
    simulation.advance(60, lambda: simulation.machine(f"{CP}-4") is not None)
    faults.pause(simulation, "TalosControlPlane", CP)
    simulation.advance(600)
    assert [m["metadata"]["name"] for m in machines(simulation, CP)] == [f"{CP}-2", f"{CP}-3", f"{CP}-4"]
    faults.resume(simulation, "TalosControlPlane", CP)
    run_until_rolled(simulation, CP)
