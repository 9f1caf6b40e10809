"""The machines of one cluster over the Talos API: `guards.talos.ports.TalosMachines` for real machines.

Every machine is asked at its own address; nothing is forwarded, so an answer is about the machine that gave it. A
question may be lost, then the machine is silent. A reboot is sent exactly once. asyncio does not leave this package.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from ssl import SSLContext
from typing import Any, TypeVar

from guards.core.evidence import Answer, Credential, Round, Silence, Silent, Target
from guards.parameters import RebootMode
from guards.talos.connection import Connection, Limits
from guards.talos.methods import REBOOT
from guards.talos.ports import BadCredential, NoCredential, Refused, Unproven
from guards.talos.questions import who
from guards.talos.rounds import ask_all
from guards.talos.silence import refused, silent
from guards.talos.talos_pb2 import RebootRequest
from guards.talos.talosconfig import Login, load

T = TypeVar("T")

PORT = 50000
"""Of apid, on every Talos machine."""
MODES = {
    RebootMode.DEFAULT: RebootRequest.DEFAULT,
    RebootMode.POWERCYCLE: RebootRequest.POWERCYCLE,
    RebootMode.FORCE: RebootRequest.FORCE,
}


class TalosClient:
    """The machines of the cluster `namespace`/`cluster`; its talosconfig is the file `namespace.cluster` in `folder`.

    `now` tells the present instant (`guards.kube.ports.Clock.now`), for certificates and for the stamp of a round.
    `stop`: once set, nothing is rebooted any more.
    """

    def __init__(
        self,
        folder: Path,
        namespace: str,
        cluster: str,
        now: Callable[[], datetime],
        limits: Limits | None = None,
        port: int = PORT,
        stop: threading.Event | None = None,
    ) -> None:
        self._file = folder / f"{namespace}.{cluster}"
        self._now, self._limits, self._port = now, limits or Limits(), port
        self._stop = stop or threading.Event()

    def credential(self) -> Credential:
        return self._login().credential

    def ask(self, targets: Iterable[Target]) -> Round:
        begun_at, wanted = self._now(), tuple(targets)
        try:
            login = self._login()
        except (NoCredential, BadCredential) as error:
            unasked = Silent(Silence.NOT_ASKED, str(error))
            unanswered = {target.uid: unasked for target in wanted}
            return Round(begun_at, unanswered, {target.uid: unasked for target in wanted if target.control_plane})
        found = _run(ask_all(wanted, login.tls, self._port, self._limits))
        machines = {uid: machine for uid, (machine, _) in found.items()}
        etcd = {target.uid: found[target.uid][1] for target in wanted if target.control_plane}
        return Round(begun_at, machines, etcd)

    def reboot(self, machine: Answer, mode: RebootMode) -> None:
        address = machine.address
        try:
            login = self._login()
        except (NoCredential, BadCredential) as error:
            raise Refused(f"{address}: not rebooted: {error}") from error
        if self._stop.is_set():
            raise Refused(f"{address}: not rebooted: this step has been told to stop")
        _run(self._reboot(machine, mode, login.tls))

    def _login(self) -> Login:
        """Afresh every time: the kubelet renews the file."""
        return load(self._file, self._now())

    async def _reboot(self, machine: Answer, mode: RebootMode, tls: SSLContext) -> None:
        limits = replace(self._limits, call=self._limits.machine)  # an answer that does not come leaves doubt
        async with Connection(machine.address, self._port, tls, limits) as connection:
            try:
                await connection.open()
                found = await who(connection)
            except Exception as error:
                raise Refused(f"not rebooted: {silent(error, connection).text}") from error
            if found != (machine.hostname, machine.boot_time):
                raise Refused(_somebody_else(machine, *found))
            try:
                await REBOOT(connection, RebootRequest(mode=MODES[mode]))
            except Exception as error:
                text = silent(error, connection).text
                if refused(error):
                    raise Refused(f"not rebooted: {text}") from error
                raise Unproven(f"whether it reboots is unknown: {text}") from error


def _somebody_else(machine: Answer, hostname: str, boot_time: int) -> str:
    return (
        f"not rebooted: {machine.address}: {hostname}, booted at {boot_time}, answers here now, "
        f"expected {machine.hostname}, booted at {machine.boot_time}"
    )


def _run(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner() as runner:
        # What breaks a connection is in the answer that does not come; asyncio would also print it, with a traceback.
        runner.get_loop().set_exception_handler(lambda _loop, _context: None)
        return runner.run(work)
