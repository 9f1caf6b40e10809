"""Who talks to the Talos machines of a lab: our client and the real talosctl, side by side, with one credential."""

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from guards.core.evidence import Answer, EtcdView, Silence, Silent, Target
from guards.talos.client import TalosClient
from tests.cluster.credentials import talosconfig
from tests.cluster.management import Management, Object, wait_for
from tests.cluster.remediating import fault
from tests.talos import pki

OPERATOR = "os:operator"


@dataclass(frozen=True)
class Caller:
    """Our client and talosctl with one and the same talosconfig."""

    management: Management
    cluster: str
    config: Path
    """A talosconfig, where our client looks for it."""

    def client(self, behind: timedelta = timedelta(0)) -> TalosClient:
        """`behind`: how much our own clock is."""
        return TalosClient(self.config.parent, "default", self.cluster, lambda: pki.now() - behind)

    def talosctl(self, machine: Target, *command: str) -> subprocess.CompletedProcess[str]:
        address = machine.addresses[0]
        flags = ("--talosconfig", str(self.config), "--endpoints", address, "--nodes", address)
        return self.management.run("talosctl", *flags, *command, check=False)

    def told(self, machine: Target, *command: str) -> str:
        """What talosctl prints; it has to succeed."""
        done = self.talosctl(machine, *command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def table(self, machine: Target, *command: str) -> list[dict[str, str]]:
        """A table that talosctl prints, by the names of its columns."""
        lines = [re.split(r" {2,}", line.rstrip()) for line in self.told(machine, *command).splitlines()]
        return [dict(zip(lines[0], row, strict=False)) for row in lines[1:]]

    def stage(self, machine: Target) -> str:
        """The last stage in the events that talosctl prints, which it does for ever."""
        address = machine.addresses[0]
        command = ["talosctl", "--talosconfig", str(self.config), "-e", address, "-n", address]
        command += ["events", "--tail", "-1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=self.management.environment) as events:
            assert events.stdout is not None
            try:
                next(line for line in events.stdout if "MachineStatusEvent" in line)
                return next(events.stdout).split()[0].lower()  # each event takes two lines
            finally:
                events.terminate()

    def answer(self, machine: Target) -> Answer | Silent:
        return self.client().ask([machine]).machines[machine.uid]

    def itself(self, machine: Target) -> Answer:
        found = self.answer(machine)
        assert isinstance(found, Answer), found
        return found

    def is_silent(self, machine: Target, why: Silence, told: str) -> None:
        """Wait until the machine is silent for this reason, in these words; talosctl fails then, in its own."""

        def silent() -> bool:
            found = self.answer(machine)
            return isinstance(found, Silent) and found.why is why and told in found.text

        wait_for(f"{machine.name} to be {why}: {told}", silent, 30)
        self.fails(machine, "version")

    def fails(self, machine: Target, *command: str, told: str = "") -> None:
        """talosctl does. Its words may be a mere broken pipe where a machine refuses its certificate."""
        done = self.talosctl(machine, *command)
        assert done.returncode == 1, done.stdout
        assert told in done.stderr

    def view(self, machine: Target) -> EtcdView:
        found = self.client().ask([machine]).etcd[machine.uid]
        assert isinstance(found, EtcdView), found
        return found


@dataclass(frozen=True)
class Lab:
    """The machines of one cluster, and faults for them."""

    management: Management
    cluster: str
    folder: Path
    machines: tuple[Target, ...]
    """Control-plane machines first."""

    @property
    def control_plane(self) -> Sequence[Target]:
        return self.machines[:3]

    @property
    def worker(self) -> Target:
        return self.machines[-1]

    def caller(self, config: str) -> Caller:
        folder = self.folder / str(len(list(self.folder.iterdir())))
        folder.mkdir()
        file = folder / f"default.{self.cluster}"
        file.write_text(config)
        return Caller(self.management, self.cluster, file)

    def as_(self, *roles: str) -> Caller:
        return self.caller(talosconfig(self.management, self.cluster, roles))

    def notes(self, machine: Target) -> dict[str, str]:
        """Annotations of talos-lab on the Machine, without their prefix."""
        found = self.management.get("machine", machine.name)["metadata"]["annotations"]
        return {name.removeprefix("lab.talos/"): value for name, value in found.items()}

    @contextmanager
    def marked(self, machine: Target, **notes: str) -> Iterator[None]:
        """These faults while the block runs; then the machine is as it was."""
        try:
            with fault(self.management, machine.name, **notes):
                yield
        finally:
            caller = self.as_(OPERATOR)
            wait_for(f"{machine.name} to answer again", lambda: isinstance(caller.answer(machine), Answer), 60)


def target(machine: Object) -> Target:
    """A Machine of Cluster API as our client is told of it."""
    metadata, status = machine["metadata"], machine["status"]
    return Target(
        uid=metadata["uid"],
        name=metadata["name"],
        node=status["nodeRef"]["name"],
        addresses=tuple(row["address"] for row in status["addresses"] if row["type"] == "InternalIP"),
        control_plane="cluster.x-k8s.io/control-plane" in metadata["labels"],
    )
