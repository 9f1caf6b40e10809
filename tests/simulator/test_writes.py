"""What a client may write, and when the API server says no: Leases, Events, the deletion of a Machine, Workflows."""

from typing import Any

import pytest

from guards.kube.access import EVENT, LEASE, MACHINE, WORKFLOW
from guards.kube.errors import Conflict, Forbidden, Invalid, NotFound, Unreachable
from guards.simulator import LAB, Simulation, faults
from guards.simulator.simulation import RUN_NAMESPACE
from tests.simulator.conftest import NAMESPACE, machines, run_until_rolled

WORKERS = "homelab-workers"
NAME = "capi-rollout-homelab"


def lease(holder: str = "me", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": NAME, "namespace": NAMESPACE, **metadata},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 60, "renewTime": "2026-01-05T00:00:00.000000Z"},
    }


def event(name: dict[str, str], namespace: str = NAMESPACE) -> dict[str, Any]:
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": name,
        "regarding": {"kind": "Machine", "namespace": namespace, "name": f"{WORKERS}-1"},
        "reason": "Rebooted",
        "note": "no milestone for 30m",
        "type": "Normal",
    }


@pytest.fixture
def simulation() -> Simulation:
    return Simulation(timings=LAB)


@pytest.fixture
def remediator() -> Simulation:
    return Simulation(timings=LAB, remediator=True)


def test_a_created_lease_has_what_the_server_sets_and_reads_back(simulation: Simulation) -> None:
    simulation.advance(60)
    body = lease(annotations={"capi-rollout/budget": "[]"})
    stored = simulation.create(LEASE, NAMESPACE, body)
    assert stored["metadata"]["uid"]
    assert stored["metadata"]["resourceVersion"]
    assert stored["metadata"]["creationTimestamp"] == "2026-01-05T00:01:00Z"
    assert stored["metadata"]["annotations"] == {"capi-rollout/budget": "[]"}
    assert stored["spec"] == body["spec"]
    assert simulation.get(LEASE, NAMESPACE, NAME) == stored


def test_a_taken_name_is_a_conflict_and_a_free_one_gets_another_uid(simulation: Simulation) -> None:
    first = simulation.create(LEASE, NAMESPACE, lease())
    with pytest.raises(Conflict, match="already exists"):
        simulation.create(LEASE, NAMESPACE, lease("other"))
    assert simulation.get(LEASE, NAMESPACE, NAME) == first
    faults.drop_lease(simulation, NAME)
    with pytest.raises(NotFound):
        simulation.get(LEASE, NAMESPACE, NAME)
    assert simulation.create(LEASE, NAMESPACE, lease())["metadata"]["uid"] != first["metadata"]["uid"]


def test_of_two_writers_who_read_the_same_state_one_wins(simulation: Simulation) -> None:
    first = simulation.create(LEASE, NAMESPACE, lease())
    second = simulation.get(LEASE, NAMESPACE, NAME)
    first["spec"]["holderIdentity"], second["spec"]["holderIdentity"] = "first", "second"
    stored = simulation.update(LEASE, NAMESPACE, first)
    assert int(stored["metadata"]["resourceVersion"]) > int(second["metadata"]["resourceVersion"])
    with pytest.raises(Conflict, match="has been modified"):
        simulation.update(LEASE, NAMESPACE, second)
    assert simulation.get(LEASE, NAMESPACE, NAME)["spec"]["holderIdentity"] == "first"


def test_an_update_replaces_and_keeps_what_is_the_servers(simulation: Simulation) -> None:
    stored = simulation.create(LEASE, NAMESPACE, lease(annotations={"a": "1"}, labels={"l": "1"}))
    simulation.advance(60)
    changed = lease("other", resourceVersion=stored["metadata"]["resourceVersion"], annotations={"b": "2"})
    after = simulation.update(LEASE, NAMESPACE, changed)["metadata"]
    assert (after["uid"], after["creationTimestamp"]) == (
        stored["metadata"]["uid"],
        stored["metadata"]["creationTimestamp"],
    )
    assert after["annotations"] == {"b": "2"}
    assert "labels" not in after


def test_an_update_that_changes_nothing_makes_no_new_version(simulation: Simulation) -> None:
    stored = simulation.create(LEASE, NAMESPACE, lease())
    assert simulation.update(LEASE, NAMESPACE, stored) == stored


def test_an_update_says_which_object_in_which_state(simulation: Simulation) -> None:
    with pytest.raises(NotFound):
        simulation.update(LEASE, NAMESPACE, lease(resourceVersion="1"))
    stored = simulation.create(LEASE, NAMESPACE, lease())
    with pytest.raises(Invalid, match="must be specified for an update"):
        simulation.update(LEASE, NAMESPACE, lease("other"))
    stored["metadata"]["uid"] = "another"
    with pytest.raises(Conflict, match="UID in precondition: another"):
        simulation.update(LEASE, NAMESPACE, stored)


def test_a_lease_that_somebody_else_wrote_is_a_conflict(simulation: Simulation) -> None:
    stored = simulation.create(LEASE, NAMESPACE, lease())
    faults.edit_lease(simulation, NAME, holderIdentity="thief")
    with pytest.raises(Conflict):
        simulation.update(LEASE, NAMESPACE, stored)
    assert simulation.get(LEASE, NAMESPACE, NAME)["spec"] == stored["spec"] | {"holderIdentity": "thief"}


def test_what_a_client_keeps_is_not_the_world(simulation: Simulation) -> None:
    body = lease(annotations={"a": "1"})
    stored = simulation.create(LEASE, NAMESPACE, body)
    for mine in (body, stored, simulation.get(LEASE, NAMESPACE, NAME)):
        mine["spec"]["holderIdentity"] = "mine"
        mine["metadata"]["annotations"]["a"] = "mine"
    kept = simulation.get(LEASE, NAMESPACE, NAME)
    assert (kept["spec"]["holderIdentity"], kept["metadata"]["annotations"]["a"]) == ("me", "1")


@pytest.mark.parametrize(
    ("spec", "metadata", "message"),
    [
        ({"renewTime": "2026-01-05T00:00:00Z"}, {}, "spec.renewTime"),
        ({"acquireTime": "2026-01-05 00:00:00.000000"}, {}, "spec.acquireTime"),
        ({"leaseDurationSeconds": 0}, {}, "spec.leaseDurationSeconds"),
        ({"leaseDurationSeconds": True}, {}, "spec.leaseDurationSeconds"),
        ({"leaseTransitions": -1}, {}, "spec.leaseTransitions"),
        ({"holder": "me"}, {}, 'unknown field "spec.holder"'),
        ({}, {"annotations": {"a": 1}}, r"annotations\[a\] is 1"),
        ({}, {"annotations": {"a": "x" * 300_000}}, "at most 262144 bytes"),
        ({}, {"namespace": "other"}, r"namespace of the object \(other\)"),
        ({}, {"name": "Capi_Rollout"}, "RFC 1123"),
        ({}, {"name": ""}, "RFC 1123"),
        ({}, {"resourceVersion": "1"}, "resourceVersion should not be set"),
    ],
)
def test_what_the_server_refuses(
    simulation: Simulation, spec: dict[str, Any], metadata: dict[str, Any], message: str
) -> None:
    body = lease(**metadata)
    body["spec"] |= spec
    with pytest.raises(Invalid, match=message):
        simulation.create(LEASE, NAMESPACE, body)


def test_another_kind_in_the_body_is_refused(simulation: Simulation) -> None:
    with pytest.raises(Invalid, match="apiVersion and kind are"):
        simulation.create(LEASE, NAMESPACE, lease() | {"kind": "Event"})


def test_events_are_created_by_name_or_with_a_generated_one(simulation: Simulation) -> None:
    named = simulation.create(EVENT, NAMESPACE, event({"name": "one.1"}))
    first, second = (simulation.create(EVENT, NAMESPACE, event({"generateName": "two."})) for _ in range(2))
    names = [item["metadata"]["name"] for item in (named, first, second)]
    assert names[0] == "one.1"
    assert names[1].startswith("two.")
    assert names[1] != names[2]
    assert [record.name for record in simulation.all("Event")] == names
    with pytest.raises(Invalid, match=r"regarding\.namespace"):
        simulation.create(EVENT, NAMESPACE, event({"name": "three"}, namespace="kube-system"))


def test_writes_outside_the_access_table_are_forbidden(simulation: Simulation, remediator: Simulation) -> None:
    stored = simulation.create(LEASE, NAMESPACE, lease())["metadata"]
    with pytest.raises(Forbidden, match="cannot delete"):
        simulation.delete(LEASE, NAMESPACE, NAME, stored["uid"], stored["resourceVersion"])
    with pytest.raises(Forbidden, match='in the namespace "argo"'):
        simulation.create(LEASE, RUN_NAMESPACE, lease())
    for account in (simulation, remediator):
        with pytest.raises(Forbidden, match='cannot create resource "machines"'):
            account.create(MACHINE, NAMESPACE, {})
        with pytest.raises(Forbidden, match='cannot update resource "machines"'):
            account.update(MACHINE, NAMESPACE, {})


def test_writes_reach_nobody_during_an_outage(simulation: Simulation) -> None:
    faults.cut_management(simulation, 10)
    with pytest.raises(Unreachable):
        simulation.create(LEASE, NAMESPACE, lease())
    simulation.advance(11)
    assert simulation.create(LEASE, NAMESPACE, lease())


def delete(simulation: Simulation, name: str, **seen: str) -> None:
    """As seen now, except what is named."""
    metadata = simulation.get(MACHINE, NAMESPACE, name)["metadata"] | seen
    simulation.delete(MACHINE, NAMESPACE, name, metadata["uid"], metadata["resourceVersion"])


def test_only_the_remediator_deletes_machines(simulation: Simulation, remediator: Simulation) -> None:
    with pytest.raises(Forbidden, match="cannot delete"):
        delete(simulation, f"{WORKERS}-1")
    assert not simulation.allowed("delete", MACHINE.group, MACHINE.plural, NAMESPACE)
    assert remediator.allowed("delete", MACHINE.group, MACHINE.plural, NAMESPACE)
    delete(remediator, f"{WORKERS}-1")
    assert "deletionTimestamp" in remediator.get(MACHINE, NAMESPACE, f"{WORKERS}-1")["metadata"]


@pytest.mark.parametrize("seen", [{"uid": "another"}, {"uid": ""}, {"resourceVersion": "1"}, {"resourceVersion": ""}])
def test_a_machine_in_another_state_is_not_deleted(remediator: Simulation, seen: dict[str, str]) -> None:
    with pytest.raises(Conflict, match="in precondition"):
        delete(remediator, f"{WORKERS}-1", **seen)
    assert "deletionTimestamp" not in remediator.get(MACHINE, NAMESPACE, f"{WORKERS}-1")["metadata"]
    assert remediator.deletes_by_api == []


def test_a_change_between_look_and_delete_is_a_conflict(remediator: Simulation) -> None:
    seen = remediator.get(MACHINE, NAMESPACE, f"{WORKERS}-1")["metadata"]
    faults.not_ready(remediator, f"{WORKERS}-1")
    with pytest.raises(Conflict, match="ResourceVersion in precondition"):
        remediator.delete(MACHINE, NAMESPACE, f"{WORKERS}-1", seen["uid"], seen["resourceVersion"])
    with pytest.raises(NotFound):
        remediator.delete(MACHINE, NAMESPACE, "homelab-workers-9", seen["uid"], seen["resourceVersion"])


def test_every_accepted_delete_is_counted_and_the_second_changes_nothing(remediator: Simulation) -> None:
    uid = remediator.get(MACHINE, NAMESPACE, f"{WORKERS}-1")["metadata"]["uid"]
    delete(remediator, f"{WORKERS}-1")
    once = remediator.get(MACHINE, NAMESPACE, f"{WORKERS}-1")
    delete(remediator, f"{WORKERS}-1")
    assert remediator.get(MACHINE, NAMESPACE, f"{WORKERS}-1") == once
    assert remediator.deletes_by_api == [uid, uid]
    remediator.advance(60)
    names = [item["metadata"]["name"] for item in machines(remediator, WORKERS)]
    assert names == [f"{WORKERS}-2", f"{WORKERS}-3", f"{WORKERS}-4"], "gone and replaced by its MachineSet"


def test_an_outdated_machine_may_come_back_outdated(remediator: Simulation) -> None:
    """facts/capi-talos §7: the old MachineSet recreates it with the old spec, as nobody reduced its replicas."""
    faults.pause(remediator, "MachineDeployment", WORKERS)
    remediator.change(WORKERS, version="v1.35.1")
    delete(remediator, f"{WORKERS}-1")
    faults.resume(remediator, "MachineDeployment", WORKERS)
    remediator.pool(WORKERS).paused = True
    remediator.advance(60)
    new = remediator.get(MACHINE, NAMESPACE, f"{WORKERS}-4")
    assert new["spec"]["version"] == "v1.35.0"
    remediator.change(WORKERS, paused=False)
    run_until_rolled(remediator, WORKERS)


def test_workflows_are_there_change_and_go(simulation: Simulation) -> None:
    nodes = {"homelab-1": {"displayName": "workers", "phase": "Running"}}
    simulation.put_workflow("homelab", "uid-1", nodes=nodes)
    before = simulation.get(WORKFLOW, RUN_NAMESPACE, "homelab")
    assert (before["metadata"]["uid"], before["status"]) == ("uid-1", {"phase": "Running", "nodes": nodes})
    simulation.put_workflow("homelab", "uid-1", "Failed")
    after = simulation.get(WORKFLOW, RUN_NAMESPACE, "homelab")
    assert (after["metadata"]["uid"], after["status"]["phase"]) == ("uid-1", "Failed")
    assert after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]
    simulation.put_workflow("homelab", "uid-2")
    assert simulation.get(WORKFLOW, RUN_NAMESPACE, "homelab")["metadata"]["uid"] == "uid-2"
    simulation.drop_workflow("homelab")
    with pytest.raises(NotFound):
        simulation.get(WORKFLOW, RUN_NAMESPACE, "homelab")
