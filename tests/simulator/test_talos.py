"""What the simulated machines say about themselves, and the credential to ask them with."""

from datetime import timedelta

import pytest

from guards.core.evidence import Answer, EtcdView, Silence, Silent, Target
from guards.kube.access import MACHINE
from guards.simulator import LAB, SimulatedTalos, Simulation, faults
from guards.simulator.timing import NEVER
from guards.talos.ports import BadCredential, NoCredential, Refused, TalosMachines
from tests.simulator.conftest import NAMESPACE
from tests.simulator.machines import answer, reboot, target

CP, WORKERS = "homelab-cp", "homelab-workers"
ALL = [*(f"{CP}-{n}" for n in (1, 2, 3)), *(f"{WORKERS}-{n}" for n in (1, 2, 3))]


@pytest.fixture
def simulation() -> Simulation:
    return Simulation(timings=LAB)


@pytest.fixture
def talos(simulation: Simulation) -> SimulatedTalos:
    return SimulatedTalos(simulation)


def why(talos: SimulatedTalos, asked: Target) -> Silence:
    found = answer(talos, asked)
    assert isinstance(found, Silent)
    return found.why


def test_it_is_the_door_that_the_guards_know(talos: SimulatedTalos) -> None:
    door: TalosMachines = talos
    assert door.credential().roles == ("os:operator",)


def test_every_machine_says_what_it_is(simulation: Simulation, talos: SimulatedTalos) -> None:
    targets = [target(simulation, name) for name in ALL]
    found = talos.ask(targets)
    assert found.begun_at == simulation.now()
    assert list(found.machines) == [t.uid for t in targets]
    assert list(found.etcd) == [t.uid for t in targets[:3]], "control plane only"
    for asked in targets:
        said = found.machines[asked.uid]
        assert isinstance(said, Answer)
        assert (said.address, said.hostname, said.stage) == (asked.addresses[0], asked.node, "running")
        assert said.version == "v1.12.0"
        assert said.boot_time < simulation.now().timestamp()
        os_image = simulation.get(MACHINE, NAMESPACE, asked.name)["status"]["nodeInfo"]["osImage"]
        assert said.version in os_image


def test_addresses_are_those_of_the_servers_in_both_versions(simulation: Simulation) -> None:
    addresses = [target(simulation, name).addresses for name in ALL]
    assert addresses == [(f"10.90.1.{n}",) for n in range(1, 7)]
    old = Simulation(timings=LAB, api="v1beta1")
    assert [target(old, name).addresses for name in ALL] == addresses
    hostnames = [a for a in old.get(MACHINE, NAMESPACE, ALL[0])["status"]["addresses"] if a["type"] == "Hostname"]
    assert hostnames == [{"type": "Hostname", "address": ALL[0]}]


def test_a_new_machine_is_of_no_cluster_then_boots_then_runs(simulation: Simulation, talos: SimulatedTalos) -> None:
    """Never "running" before its boot is over, never an address before the infrastructure is ready."""
    address = target(simulation, f"{WORKERS}-1").addresses
    simulation.change(WORKERS, config=f"{WORKERS}-2")
    said: list[str] = []

    def look() -> None:
        machine = simulation.machine(f"{WORKERS}-4")
        if machine is None:
            return
        asked = target(simulation, machine.name)
        by_address = answer(talos, Target(asked.uid, asked.name, "", address, control_plane=False))
        state = by_address.why.value if isinstance(by_address, Silent) else by_address.stage
        known = "listed" if asked.addresses else "unlisted"
        if said[-1:] != [f"{known} {state}"]:
            said.append(f"{known} {state}")

    simulation.each_event.append(look)
    simulation.advance(60)
    assert said == ["unlisted unknown authority", "listed booting", "listed running"]


def test_a_machine_that_shuts_down_is_out_of_reach(simulation: Simulation, talos: SimulatedTalos) -> None:
    asked = target(simulation, f"{WORKERS}-1")
    simulation.plan(f"{WORKERS}-1", drain=10, shutdown=100)
    faults.delete(simulation, f"{WORKERS}-1")
    simulation.advance(5)
    assert isinstance(answer(talos, asked), Answer), "it drains"
    simulation.advance(15)
    assert why(talos, asked) is Silence.UNREACHABLE


def test_a_machine_without_a_node_shuts_down_like_the_others(simulation: Simulation, talos: SimulatedTalos) -> None:
    simulation.plan(f"{WORKERS}-4", boot=NEVER, shutdown=100)
    simulation.change(WORKERS, config=f"{WORKERS}-2")
    simulation.advance(60)
    asked = target(simulation, f"{WORKERS}-4")
    assert isinstance(answer(talos, asked), Answer)
    faults.delete(simulation, f"{WORKERS}-4")
    simulation.advance(5)
    assert why(talos, asked) is Silence.UNREACHABLE


@pytest.mark.parametrize("silence", list(Silence))
def test_silence_is_an_answer_for_the_machine_and_its_etcd(
    simulation: Simulation, talos: SimulatedTalos, silence: Silence
) -> None:
    asked = target(simulation, f"{CP}-2")
    faults.silence(simulation, f"{CP}-2", silence)
    found = talos.ask([asked, target(simulation, f"{CP}-1")])
    for said in (found.machines[asked.uid], found.etcd[asked.uid]):
        assert isinstance(said, Silent)
        assert said.why is silence
        assert "10.90.1.2" in said.text
    assert sum(isinstance(said, Answer) for said in found.machines.values()) == 1
    faults.silence(simulation, f"{CP}-2", None)
    assert isinstance(answer(talos, asked), Answer)


def test_a_dead_machine_is_out_of_reach(simulation: Simulation, talos: SimulatedTalos) -> None:
    asked = target(simulation, f"{WORKERS}-1")
    faults.power_loss(simulation, f"{WORKERS}-1")
    assert why(talos, asked) is Silence.UNREACHABLE


def test_without_an_address_nobody_is_asked(simulation: Simulation, talos: SimulatedTalos) -> None:
    assert why(talos, Target("uid", "none", "", (), control_plane=False)) is Silence.NOT_ASKED


def test_the_first_address_that_answers_counts(simulation: Simulation, talos: SimulatedTalos) -> None:
    asked = target(simulation, f"{WORKERS}-1")
    second = Target(asked.uid, asked.name, asked.node, ("10.90.99.1", *asked.addresses), control_plane=False)
    said = answer(talos, second)
    assert isinstance(said, Answer)
    assert said.address == asked.addresses[0]


def test_another_machine_may_answer_at_a_virtual_address(simulation: Simulation, talos: SimulatedTalos) -> None:
    faults.virtual_address(simulation, "10.90.0.1", listed_by=f"{CP}-1", answered_by=f"{CP}-2")
    asked = target(simulation, f"{CP}-1")
    assert asked.addresses == ("10.90.0.1", "10.90.1.1")
    said = answer(talos, asked)
    assert isinstance(said, Answer)
    assert (said.address, said.hostname) == ("10.90.0.1", f"{CP}-2")


def test_a_machine_may_say_that_it_is_another(simulation: Simulation, talos: SimulatedTalos) -> None:
    faults.rename(simulation, f"{WORKERS}-1", "somebody")
    said = answer(talos, target(simulation, f"{WORKERS}-1"))
    assert isinstance(said, Answer)
    assert said.hostname == "somebody"


def test_the_credential_holds_for_a_year_and_then_no_more(simulation: Simulation, talos: SimulatedTalos) -> None:
    assert talos.credential().not_after == simulation.now() + timedelta(days=365)
    talos.not_after, talos.roles = simulation.now() + timedelta(minutes=9), ("os:admin",)
    assert talos.credential().roles == ("os:admin",)
    simulation.advance(9 * 60)
    with pytest.raises(BadCredential, match="expired"):
        talos.credential()


@pytest.mark.parametrize("error", [NoCredential("no key default.homelab"), BadCredential("not PEM")])
def test_without_a_credential_nobody_is_asked_or_rebooted(
    simulation: Simulation, talos: SimulatedTalos, error: NoCredential | BadCredential
) -> None:
    talos.unusable = error
    with pytest.raises(type(error)):
        talos.credential()
    assert why(talos, target(simulation, f"{WORKERS}-1")) is Silence.NOT_ASKED
    with pytest.raises(Refused, match=str(error)):
        reboot(simulation, talos, f"{WORKERS}-1")
    assert simulation.reboots == {}
    talos.unusable = None
    assert isinstance(talos.ask([target(simulation, f"{CP}-1")]).etcd.popitem()[1], EtcdView)
