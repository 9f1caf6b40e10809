"""Which record becomes which object."""

from guards.simulator import wire_machines, wire_pools
from guards.simulator.records import ClusterRecord, MachineRecord, Pool, Record, SetRecord
from guards.simulator.wire import Object, envelope


def render(record: Record, capi: str, namespace: str) -> Object:
    """One record as the API object of Cluster API version `capi` (v1beta2 or v1beta1)."""
    match record:
        case MachineRecord():
            return wire_machines.machine(record, capi, namespace)
        case SetRecord():
            return wire_pools.machine_set(record, capi, namespace)
        case ClusterRecord():
            return wire_pools.cluster(record, capi, namespace)
        case Pool(kind="TalosControlPlane"):
            return wire_pools.control_plane(record, capi, namespace)
        case Pool():
            return wire_pools.deployment(record, capi, namespace)
        case Record(kind="TalosConfig"):
            return wire_machines.talos_config(record, capi, namespace)
        case Record(kind="MetalMachine"):
            return wire_machines.infrastructure_machine(record, capi, namespace)
    return envelope(record, capi, namespace, {"template": {"spec": {}}}, {})
