"""Who answers: only a certificate of the cluster's own authority, for its address, and valid now."""

import ipaddress
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from kubernetes.client import Configuration

from guards.kube.client import Client
from guards.kube.connect import Connection, bounded, connect
from guards.kube.errors import Unreachable
from guards.kube.transport import Limits
from tests.edge import canary
from tests.edge.conftest import HASTY, QUICK, FakeTime
from tests.edge.faulty import Faulty, reply
from tests.edge.test_connect import service_account
from tests.edge.test_writes import WRITES, Write
from tests.edge.wire import names, page
from tests.talos.pki import DAY, NOW, Authority, Pair

HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority(name="kubernetes")


def context(pair: Pair) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(pair.crt + pair.key)
        file.flush()
        made.load_cert_chain(file.name)
    return made


@contextmanager
def serving(tls: ssl.SSLContext | None) -> Iterator[Faulty]:
    server = Faulty(tls)
    server.url = server.url.replace("http://", "https://")
    server.script = [reply(200, page("a"))]
    try:
        yield server
    finally:
        server.close()


@contextmanager
def client_of(server: Faulty, ca: Path, limits: Limits, fake_time: FakeTime | None = None) -> Iterator[Client]:
    def load() -> Configuration:
        secret = {"BearerToken": f"Bearer {canary.TOKEN}"}
        return bounded(Configuration(host=server.url, api_key=secret, ssl_ca_cert=str(ca)))

    clocks = {"sleep": fake_time.sleep, "monotonic": fake_time.monotonic} if fake_time else {}
    made = Client(Connection("test", "default", load), limits, **clocks)
    made._served.update({group: tuple(versions) for group, versions in server.versions.items()})
    try:
        yield made
    finally:
        made.close()


def ca_file(folder: Path, authority: Authority) -> Path:
    path = folder / "ca.crt"
    path.write_bytes(authority.crt)
    return path


def tomorrow(own: Authority) -> Pair:
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HERE))])
    return own._issue(x509.Name([]), NOW + DAY, NOW + 2 * DAY, names)


WRONG: dict[str, tuple[Callable[[Authority], Pair], str]] = {
    "another authority": (lambda _: Authority(name="evil").machine(HERE), "unable to get local issuer|self.signed"),
    "expired": (lambda own: own.machine(HERE, end=NOW - timedelta(hours=1)), "certificate has expired"),
    "not yet valid": (tomorrow, "not yet valid"),
    "another address": (lambda own: own.machine(ELSEWHERE), "IP address mismatch"),
}


def test_the_right_certificate_is_accepted(authority: Authority, tmp_path: Path) -> None:
    """Or the refusals below would prove nothing."""
    with (
        serving(context(authority.machine(HERE))) as server,
        client_of(server, ca_file(tmp_path, authority), QUICK) as client,
    ):
        assert names(client) == ["a"]
        assert server.seen[0].headers["authorization"] == f"Bearer {canary.TOKEN}"


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_certificate_is_not_told_anything(
    authority: Authority, tmp_path: Path, fake_time: FakeTime, case: str
) -> None:
    made, sentence = WRONG[case]
    limits = Limits(QUICK.connect, QUICK.read, 30, QUICK.body, QUICK.tries)
    with (
        serving(context(made(authority))) as server,
        client_of(server, ca_file(tmp_path, authority), limits, fake_time) as client,
    ):
        with pytest.raises(
            Unreachable, match=rf"list machines.*https://{HERE}:\d+: its certificate: .*({sentence}).*, expected"
        ):
            names(client)
        assert (len(server.seen), len(fake_time.slept)) == (0, QUICK.tries - 1)


@pytest.mark.parametrize("write", WRITES, ids=str)
@pytest.mark.parametrize("case", WRONG)
def test_a_write_to_a_wrong_certificate_is_not_sent(
    authority: Authority, tmp_path: Path, case: str, write: Write
) -> None:
    with (
        serving(context(WRONG[case][0](authority))) as server,
        client_of(server, ca_file(tmp_path, authority), QUICK) as client,
    ):
        with pytest.raises(Unreachable, match=f"({WRONG[case][1]})"):
            write.send(client)
        assert (len(server.seen), len(server.connections)) == (0, 1)


def test_a_server_without_tls(authority: Authority, tmp_path: Path, fake_time: FakeTime) -> None:
    """A port that speaks plain HTTP learns nothing but a handshake."""
    with (
        serving(None) as server,
        client_of(server, ca_file(tmp_path, authority), QUICK, fake_time) as client,
    ):
        server.on_connection = lambda connection: connection.sendall(reply(200, page("a")))
        with pytest.raises(Unreachable, match="SSLError: WRONG_VERSION_NUMBER"):
            names(client)


def drip_a_hello(server: Faulty) -> None:
    """A record header that promises 16 KiB of handshake, byte by byte."""
    send = server.endlessly(b"\x00", first=b"\x16\x03\x03\x40\x00", pause=0.05)
    assert not isinstance(send, bytes)
    server.on_connection = send


def test_a_handshake_without_an_end_ends(authority: Authority, tmp_path: Path) -> None:
    with serving(None) as server, client_of(server, ca_file(tmp_path, authority), HASTY) as client:
        drip_a_hello(server)
        with pytest.raises(Unreachable, match=r"no whole answer within|no answer within|timed out"):
            names(client)
        assert server.hung_up.wait(20)


def test_in_a_pod_the_authority_is_the_service_accounts(authority: Authority, tmp_path: Path) -> None:
    account = service_account(tmp_path / "sa", canary.TOKEN)
    (account / "ca.crt").write_bytes(authority.crt)
    with serving(context(authority.machine(HERE))) as server, serving(context(Authority().machine(HERE))) as evil:
        for reached, wrong in ((server, False), (evil, True)):
            port = reached.url.rsplit(":", 1)[1]
            pod = {"KUBERNETES_SERVICE_HOST": HERE, "KUBERNETES_SERVICE_PORT": port}
            client = Client(connect(None, None, pod, account), QUICK)
            if wrong:
                with pytest.raises(Unreachable, match="its certificate"):
                    names(client)
            else:
                assert names(client) == ["a"]
            client.close()
        assert (len(server.seen), len(evil.seen)) == (1, 0)
