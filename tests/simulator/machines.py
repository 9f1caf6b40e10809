"""Asking and deleting simulated machines as the guards do: by what is on the wire."""

from guards.core.evidence import Answer, EtcdView, Silent, Target
from guards.kube.access import MACHINE
from guards.parameters import RebootMode
from guards.simulator import SimulatedTalos, Simulation
from tests.simulator.conftest import NAMESPACE


def target(simulation: Simulation, name: str) -> Target:
    """The machine as Cluster API shows it."""
    item = simulation.get(MACHINE, NAMESPACE, name)
    metadata, status = item["metadata"], item.get("status", {})
    return Target(
        uid=metadata["uid"],
        name=name,
        node=status.get("nodeRef", {}).get("name", ""),
        addresses=tuple(a["address"] for a in status.get("addresses", []) if a["type"] == "InternalIP"),
        control_plane="cluster.x-k8s.io/control-plane" in metadata["labels"],
    )


def answer(talos: SimulatedTalos, asked: Target) -> Answer | Silent:
    return talos.ask([asked]).machines[asked.uid]


def view(talos: SimulatedTalos, asked: Target) -> EtcdView | Silent:
    return talos.ask([asked]).etcd[asked.uid]


def itself(simulation: Simulation, name: str) -> Answer:
    """What the machine would say about itself, if it were asked and answered."""
    machine = next(each for each in simulation.machines() if each.name == name)
    booted_at = int(machine.booted_at.timestamp()) if machine.booted_at else 0
    return Answer(target(simulation, name).addresses[0], machine.apid.hostname or name, "v0", booted_at, "running")


def reboot(simulation: Simulation, talos: SimulatedTalos, name: str) -> None:
    talos.reboot(itself(simulation, name), RebootMode.POWERCYCLE)


def delete(simulation: Simulation, name: str, **seen: str) -> None:
    """Delete the Machine as it is now, except for what is named."""
    metadata = simulation.get(MACHINE, NAMESPACE, name)["metadata"] | seen
    simulation.delete(MACHINE, NAMESPACE, name, metadata["uid"], metadata["resourceVersion"])
