"""A cluster of machines on loopback addresses, its talosconfig in a folder, and our client for both."""

from asyncio import sslproto
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from guards.core.evidence import Target
from guards.talos.client import TalosClient
from guards.talos.connection import Limits
from tests.talos.apid import Apid, Machines, context
from tests.talos.pki import NOW, Authority, talosconfig

PATIENT = Limits(connect=5, handshake=5, call=5, machine=10, round=20)
"""Nothing runs out, also on a busy computer."""
QUICK = Limits(connect=0.3, handshake=0.3, call=0.6, machine=0.9, round=5)
"""For tests in which something does."""


@dataclass
class Lab:
    """The cluster `default/homelab`."""

    folder: Path
    authority: Authority
    machines: Machines = field(default_factory=Machines)

    @property
    def file(self) -> Path:
        return self.folder / "default.homelab"

    def client(self, limits: Limits = PATIENT) -> TalosClient:
        return TalosClient(self.folder, "default", "homelab", lambda: NOW, limits, self.machines.port)

    def machine(self, hostname: str, *addresses: str, member: int = 0xC1) -> Apid:
        """A healthy machine that listens at these addresses, with a certificate for them."""
        made = Apid(hostname, member)
        tls = context(self.authority.machine(*addresses), self.authority)
        for address in addresses:
            self.machines.serve(made, address, tls)
        return made


@pytest.fixture(autouse=True)
def _oldest_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections end as in Python 3.11.2, which cannot abort one that has been closed twice; later ones can."""

    def abort(transport: Any) -> None:
        transport._closed = True
        transport._ssl_protocol._abort()

    monkeypatch.setattr(sslproto._SSLProtocolTransport, "abort", abort)


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def lab(tmp_path: Path, authority: Authority) -> Iterator[Lab]:
    made = Lab(tmp_path, authority)
    made.file.write_text(talosconfig(authority, "os:operator"))
    yield made
    made.machines.close()


def target(node: str, *addresses: str, control_plane: bool = True) -> Target:
    """The machine of a Node; its UID is `uid-` and the Node's name."""
    return Target(f"uid-{node}", f"machine-{node}", node, addresses, control_plane)
