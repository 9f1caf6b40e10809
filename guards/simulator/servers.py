"""The metal: as many servers as slots and no spare, so a new machine waits until an old one is wiped."""

from collections.abc import Callable

from guards.simulator.records import MachineRecord


class Servers:
    """Free servers and waiting machines of each pool, first come first served. A server is known by its address."""

    def __init__(self, power_on: Callable[[MachineRecord], None]) -> None:
        self._power_on = power_on
        self._bought = 0
        self._free: dict[str, list[str]] = {}
        self._waiting: dict[str, list[MachineRecord]] = {}

    def claim(self, machine: MachineRecord) -> None:
        """Power the machine on as soon as there is a server for it."""
        self._waiting.setdefault(machine.pool.name, []).append(machine)
        self._assign(machine.pool.name)

    def release(self, machine: MachineRecord) -> None:
        """The machine's server is wiped and free; nothing happens when it never had one."""
        if machine.server:
            address, machine.server = machine.server, ""
            self._shelve(machine.pool.name, address)

    def add(self, pool: str) -> None:
        """Put one more server on the shelf: what a larger number of replicas needs."""
        self._shelve(pool, self.new())

    def new(self) -> str:
        """The address of one more server."""
        block, number = divmod(self._bought, 250)
        self._bought += 1
        return f"10.90.{block + 1}.{number + 1}"

    def _shelve(self, pool: str, address: str) -> None:
        self._free.setdefault(pool, []).append(address)
        self._assign(pool)

    def _assign(self, pool: str) -> None:
        waiting, free = self._waiting.get(pool, []), self._free.get(pool, [])
        while waiting and free:
            machine = waiting.pop(0)
            if machine.deleted is None:
                machine.server = machine.address = free.pop(0)
                self._power_on(machine)
