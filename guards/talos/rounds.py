"""One round of questions: all machines at once, each at its addresses in order, until one of them is its own."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from ssl import SSLContext
from typing import Any, TypeVar

from guards.core.evidence import Answer, EtcdView, Silence, Silent, Target
from guards.talos.authority import looked_at
from guards.talos.connection import Connection, Limits, within
from guards.talos.questions import about_etcd, about_itself
from guards.talos.silence import silent

T = TypeVar("T")
Found = tuple[Answer | Silent, EtcdView | Silent]
"""A machine about itself and about its etcd member."""

_TELLING = (Silence.DENIED, Silence.UNKNOWN_AUTHORITY, Silence.BROKEN, Silence.UNREACHABLE, Silence.STRANGER)
"""Of several silent addresses the first of these counts: unreachable is only who gives no sign of life anywhere, and a
stranger's is no sign of life."""


async def ask_all(targets: Sequence[Target], tls: SSLContext, port: int, limits: Limits) -> dict[str, Found]:
    """By Machine UID. The second of each pair means something for control-plane machines only."""
    tasks = {t.uid: asyncio.create_task(_Asked(t, targets, tls, port, limits).found()) for t in targets}
    if tasks:
        await asyncio.wait(tasks.values(), timeout=limits.round)  # does not wait for those that it gives up
    late = Silent(Silence.UNREACHABLE, f"no whole answer within {limits.round:.3g} s, expected one of each machine")
    return {uid: task.result() if task.done() else (late, late) for uid, task in tasks.items()}


@dataclass(frozen=True, slots=True)
class _Asked:
    """One machine of the round."""

    target: Target
    targets: Sequence[Target]
    tls: SSLContext
    port: int
    limits: Limits

    async def found(self) -> Found:
        """The machine itself; else its silence; else, where every address belongs to a stranger, the first stranger.

        A stranger never hides a silence: a virtual address is answered by another machine just when its own machine
        hangs. Nor does it use up the machine's time: all addresses are asked side by side.
        """
        until = _clock() + self.limits.machine
        tasks = [asyncio.create_task(self._at(each, until)) for each in filter(is_ip, self.target.addresses)]
        strangers: list[Found] = []
        silences: list[Silent] = []
        try:
            for task in tasks:
                machine, etcd = await task
                if isinstance(machine, Silent):
                    silences.append(machine)
                elif self._is_itself(machine):
                    return machine, etcd
                else:
                    strangers.append((machine, etcd))
        finally:
            for task in tasks:
                task.cancel()
        if silences:
            telling = _together(silences)
            return telling, telling
        if strangers:
            return strangers[0]
        unasked = _unasked(self.target)
        return unasked, unasked

    async def _at(self, address: str, until: float) -> Found:
        async with Connection(address, self.port, self.tls, self.limits) as connection:
            machine = await _heard(connection, until, self._itself(connection))
            if isinstance(machine, Silent):
                machine = await _looked_at(connection, until, machine)
                return machine, machine
            if not self._is_itself(machine):
                return machine, _stranger(machine, self.target)
            if not self.target.control_plane:
                return machine, Silent(Silence.NOT_ASKED, f"{address}: a worker, expected no etcd member")
            return machine, await _heard(connection, until, about_etcd(connection))

    async def _itself(self, connection: Connection) -> Answer:
        await connection.open()
        return await about_itself(connection)

    def _is_itself(self, machine: Answer) -> bool:
        """By its Node's name; a machine without Node can only be told from those that have one."""
        if self.target.node:
            return same_host(machine.hostname, self.target.node)
        return not any(same_host(machine.hostname, other.node) for other in self.targets if other.node)


async def _heard(connection: Connection, until: float, work: Coroutine[Any, Any, T]) -> T | Silent:
    """The answer, or why there is none. Whatever a machine does to us is its answer, never our failure."""
    try:
        return await within(until - _clock(), work)
    except Exception as error:
        return silent(error, connection)


async def _looked_at(connection: Connection, until: float, found: Silent) -> Silent:
    if found.why is not Silence.UNKNOWN_AUTHORITY:
        return found
    try:
        return await within(until - _clock(), looked_at(connection, found))
    except Exception:  # whatever there is to see cannot be seen
        return found


def _together(silences: Sequence[Silent]) -> Silent:
    """The most telling one, with what was seen at the other addresses."""
    ordered = sorted(silences, key=lambda each: _TELLING.index(each.why))
    return Silent(ordered[0].why, "; ".join(each.text for each in ordered))


def _clock() -> float:
    return asyncio.get_running_loop().time()


def _stranger(machine: Answer, target: Target) -> Silent:
    expected = target.node or "a machine that is no other Node"
    return Silent(Silence.BROKEN, f"{machine.address}: {machine.hostname} answers here, expected {expected}")


def _unasked(target: Target) -> Silent:
    seen = ", ".join(target.addresses) or "none"
    return Silent(Silence.NOT_ASKED, f"{target.name}: addresses {seen}; expected an IP address")


def same_host(one: str, other: str) -> bool:
    """Case does not count, and a short name stands for a full one (`cp-1`, `cp-1.home.lan`)."""
    one, other = one.lower(), other.lower()
    if "." in one and "." in other:
        return one == other
    return one.partition(".")[0] == other.partition(".")[0]


def is_ip(address: str) -> bool:
    """Names are not asked: looking one up takes a thread that nothing can stop."""
    try:
        ip_address(address)
    except ValueError:
        return False
    return True
