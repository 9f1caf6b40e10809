"""The metal: as many servers as slots and no spare, so a new machine waits until an old one is wiped."""

from collections.abc import Callable

from guards.simulator.records import MachineRecord


class Servers:
    """Free servers and waiting machines of each pool, first come first served."""

    def __init__(self, power_on: Callable[[MachineRecord], None]) -> None:
        self._power_on = power_on
        self._free: dict[str, int] = {}
        self._waiting: dict[str, list[MachineRecord]] = {}

    def claim(self, machine: MachineRecord) -> None:
        """Power the machine on as soon as there is a server for it."""
        self._waiting.setdefault(machine.pool.name, []).append(machine)
        self._assign(machine.pool.name)

    def release(self, machine: MachineRecord) -> None:
        """The machine's server is wiped and free; nothing happens when it never had one."""
        if machine.server:
            machine.server = False
            self.add(machine.pool.name)

    def add(self, pool: str) -> None:
        """Put one more server on the shelf: what a larger number of replicas needs."""
        self._free[pool] = self._free.get(pool, 0) + 1
        self._assign(pool)

    def _assign(self, pool: str) -> None:
        waiting = self._waiting.get(pool, [])
        while waiting and self._free.get(pool, 0) > 0:
            machine = waiting.pop(0)
            if machine.deleted is None:
                self._free[pool] -= 1
                machine.server = True
                self._power_on(machine)
