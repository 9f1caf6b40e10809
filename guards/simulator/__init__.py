"""A management cluster in memory, for rehearsals and tests: real wire objects, simulated controllers, simulated time.

`Simulation` implements both doors of guards.kube.ports, `SimulatedTalos` the one of guards.talos.ports. The first
speaks the wire (API objects as JSON) and shares no field path with guards.kube's parsers: a wrong path must not be
wrong on both sides.
"""

from guards.simulator.simulation import Simulation
from guards.simulator.talos import SimulatedTalos
from guards.simulator.timing import LAB, METAL, Plan, Timings

__all__ = ["LAB", "METAL", "Plan", "SimulatedTalos", "Simulation", "Timings"]
