"""Who else may be at a machine's address: each is told for what it is, and none hides that the machine is silent."""

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from guards.core.evidence import Answer, Silence
from guards.talos.client import TalosClient
from guards.talos.connection import Limits
from tests.talos.apid import Apid, context
from tests.talos.conftest import PATIENT, QUICK, Lab, target
from tests.talos.pki import DAY, NOW, Authority, talosconfig
from tests.talos.test_silence import HOME, asked

Place = Callable[[Lab, str], None]
"""Puts somebody at an address of the lab."""


# Strangers, each at an address


def plain_http(lab: Lab, address: str) -> None:
    lab.machines.misbehave(address, lambda plain, over: said(plain, over, b"HTTP/1.1 400 Bad Request\r\n\r\n"))


def ssh(lab: Lab, address: str) -> None:
    lab.machines.misbehave(address, lambda plain, over: said(plain, over, b"SSH-2.0-OpenSSH_9.2p1\r\n"))


def web_server(lab: Lab, address: str) -> None:
    """TLS and HTTP/1 with a certificate of somebody else."""
    tls = context(Authority(name="Example Inc.").machine(address), None)
    lab.machines.misbehave(address, lambda secure, over: said(secure, over, b"HTTP/1.1 200 OK\r\n\r\n"), tls)


def web_server_2(lab: Lab, address: str) -> None:
    """TLS and HTTP/2, which asks for no client certificate: as a Talos machine in maintenance mode, but not Talos."""
    lab.machines.serve(Apid("web"), address, context(Authority(name="Example Inc.").machine(address), None))


def old_tls(lab: Lab, address: str) -> None:
    tls = context(lab.authority.machine(address), None)
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    lab.machines.misbehave(address, lambda secure, over: said(secure, over, b""), tls)


def another_cluster(lab: Lab, address: str) -> None:
    other = Authority()
    tls = context(other.machine(address), other)
    lab.machines.misbehave(address, lambda plain, _: refusing(plain, tls))


def maintenance(lab: Lab, address: str) -> None:
    """As Talos does it: an authority without a name, and a name that says what it is."""
    pair = Authority(name="").machine(address, name="maintenance-service.talos.dev")
    lab.machines.serve(Apid("cp-1"), address, context(pair, None))


def said(connection: socket.socket, over: threading.Event, text: bytes) -> None:
    connection.sendall(text)
    over.wait()


def refusing(plain: socket.socket, tls: ssl.SSLContext) -> None:
    """TLS 1.3: the client believes that the handshake is over, and hears of the refusal as an alert afterwards."""
    with tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False) as secure, suppress(ssl.SSLError):
        secure.do_handshake()


STRANGERS = [
    pytest.param(plain_http, "TLS handshake: a server that does not speak TLS (WRONG_VERSION_NUMBER)", id="plain"),
    pytest.param(ssh, "TLS handshake: a server that does not speak TLS (WRONG_VERSION_NUMBER)", id="ssh"),
    pytest.param(web_server, "another TLS server, its certificate was issued by 'O=Example Inc.'", id="web"),
    pytest.param(web_server_2, "another TLS server, its certificate was issued by 'O=Example Inc.'", id="web-2"),
    pytest.param(old_tls, "a TLS server, but not a Talos machine's (TLSV1_ALERT_PROTOCOL_VERSION)", id="old-tls"),
    pytest.param(another_cluster, "a machine of another cluster, or our talosconfig is another", id="cluster"),
]


@pytest.mark.parametrize(("put", "seen"), STRANGERS)
def test_a_stranger_is_told_for_what_it_is(lab: Lab, put: Place, seen: str) -> None:
    put(lab, HOME)
    answer = asked(lab)
    assert seen in answer.text
    assert answer.why is Silence.STRANGER, "it neither speaks for the machine nor proves that nobody does"


@pytest.mark.parametrize(("put", "seen"), STRANGERS)
def test_a_stranger_hides_no_silence(lab: Lab, put: Place, seen: str) -> None:
    put(lab, "127.0.0.2")
    answer = asked(lab, "127.0.0.2", HOME)
    assert answer.why is Silence.UNREACHABLE
    assert answer.text.startswith("127.0.0.1: connect: Connection refused, expected an answer of the Talos API; 127.")
    assert seen in answer.text


@pytest.mark.parametrize(("put", "seen"), STRANGERS)
def test_a_stranger_hides_no_answer(lab: Lab, put: Place, seen: str) -> None:
    put(lab, HOME)
    lab.machine("cp-1", "127.0.0.2")
    assert isinstance(lab.client().ask([target("cp-1", HOME, "127.0.0.2")]).machines["uid-cp-1"], Answer)


def test_a_slow_stranger_uses_up_nobody_elses_time(lab: Lab) -> None:
    lab.machines.misbehave(HOME, lambda _, over: over.wait() and None)
    lab.machine("cp-1", "127.0.0.2")
    found = lab.client(Limits(handshake=60, machine=1)).ask([target("cp-1", HOME, "127.0.0.2")])
    assert isinstance(found.machines["uid-cp-1"], Answer)


# Nobody's certificate


def plain_maintenance(lab: Lab, address: str) -> None:
    """Without the name, but Talos' own, and it asks for no certificate."""
    lab.machines.serve(Apid("cp-1"), address, context(Authority().machine(address), None))


@pytest.mark.parametrize("put", [maintenance, plain_maintenance])
def test_maintenance_mode_is_recognised(lab: Lab, put: Place) -> None:
    put(lab, HOME)
    answer = asked(lab)
    assert answer.why is Silence.UNKNOWN_AUTHORITY
    assert "127.0.0.1: TLS handshake: maintenance mode: it has a certificate of its own" in answer.text


def test_maintenance_mode_is_a_sign_of_life(lab: Lab) -> None:
    maintenance(lab, "127.0.0.2")
    answer = asked(lab, HOME, "127.0.0.2", "127.0.0.3")
    assert answer.why is Silence.UNKNOWN_AUTHORITY, "unreachable is only who gives no sign of life anywhere"


@pytest.mark.parametrize("mutual", [True, False])
def test_nothing_is_asked_insecurely(lab: Lab, mutual: bool) -> None:
    other, machine = Authority(), Apid("cp-1")
    lab.machines.serve(machine, HOME, context(other.machine(HOME), other if mutual else None))
    assert asked(lab).why is Silence.UNKNOWN_AUTHORITY
    assert machine.seen == []


def test_what_cannot_be_seen_is_not_guessed(lab: Lab) -> None:
    """Another authority's machine that hangs after the handshake: it may want a certificate or not."""
    tls = context(Authority().machine(HOME), None)
    lab.machines.misbehave(HOME, lambda secure, over: said(secure, over, b""), tls)
    answer = asked(lab, limits=QUICK)
    assert answer.why is Silence.UNKNOWN_AUTHORITY
    assert "maintenance mode or another cluster's machine" in answer.text


# A machine of this cluster that does not let us in


def at_home(lab: Lab) -> None:
    tls = context(lab.authority.machine(HOME), lab.authority)
    lab.machines.misbehave(HOME, lambda plain, _: refusing(plain, tls))


def test_a_client_certificate_of_another_authority_is_denied(lab: Lab) -> None:
    lab.file.write_text(talosconfig(lab.authority, client=Authority().client(["os:operator"])))
    at_home(lab)
    answer = asked(lab)
    assert answer.why is Silence.DENIED
    assert "127.0.0.1: HTTP/2 greeting: our client certificate is refused: " in answer.text
    assert "(TLSV1_ALERT_UNKNOWN_CA), expected to be accepted with our talosconfig" in answer.text


def test_a_client_certificate_that_has_expired_for_the_machine_is_denied(lab: Lab) -> None:
    """Our clock is two days behind, or the machine's runs ahead."""
    old = lab.authority.client(["os:operator"], NOW - 9 * DAY, NOW - DAY)
    lab.file.write_text(talosconfig(lab.authority, client=old))
    at_home(lab)
    client = TalosClient(lab.folder, "default", "homelab", lambda: NOW - 2 * DAY, PATIENT, lab.machines.port)
    answer = client.ask([target("cp-1", HOME)]).machines["uid-cp-1"]
    assert not isinstance(answer, Answer)
    assert answer.why is Silence.DENIED
    assert "refused: by the machine's clock it is not valid now (SSLV3_ALERT_CERTIFICATE_EXPIRED)" in answer.text


def test_an_alert_before_its_certificate_is_not_about_ours(lab: Lab) -> None:
    """Anybody can send one: only a machine of this cluster can refuse us."""

    def alert(plain: socket.socket, over: threading.Event) -> None:
        plain.recv(4096)
        said(plain, over, bytes.fromhex("15 0303 0002 022d"))  # fatal: certificate expired

    lab.machines.misbehave(HOME, alert)
    answer = asked(lab)
    assert answer.why is Silence.BROKEN
    assert "it ends the handshake (SSLV3_ALERT_CERTIFICATE_EXPIRED)" in answer.text


# No greeting


def after_tls(lab: Lab, act: Callable[[socket.socket, threading.Event], None]) -> None:
    lab.machines.misbehave(HOME, act, context(lab.authority.machine(HOME), lab.authority))


def test_a_machine_that_never_greets_is_unreachable(lab: Lab) -> None:
    after_tls(lab, lambda secure, over: said(secure, over, bytes.fromhex("000000 04 00")))  # half of a frame's header
    answer = asked(lab, limits=QUICK)
    assert answer.why is Silence.UNREACHABLE
    assert answer.text.startswith("127.0.0.1: HTTP/2 greeting: no whole answer within 0.3 s")


def test_a_machine_that_goes_before_it_greets_is_unreachable(lab: Lab) -> None:
    after_tls(lab, lambda secure, _: secure.close())
    answer = asked(lab)
    assert answer.why is Silence.UNREACHABLE
    assert "HTTP/2 greeting: the connection ended" in answer.text


def test_we_say_nothing_before_the_greeting(lab: Lab) -> None:
    heard = []

    def no_greeting(secure: socket.socket, over: threading.Event) -> None:
        secure.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with suppress(ConnectionError, ssl.SSLError):
            heard.append(secure.recv(4096))
        over.wait()

    after_tls(lab, no_greeting)
    asked(lab)
    assert heard in ([], [b""])


def frames(text: str, seen: str, id: str) -> object:
    return pytest.param(bytes.fromhex(text), seen, id=id)


@pytest.mark.parametrize(
    ("said_first", "seen"),
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", "no HTTP/2 server, it begins with b'HTTP/1.1", id="http-1"),
        frames("000000 04 00 00000001", "no HTTP/2 server", id="of-a-stream"),
        frames("000000 04 01 00000000", "no HTTP/2 server", id="acknowledged"),
        frames("000005 04 00 00000000 0000000000", "no HTTP/2 server", id="wrong-length"),
        frames("00000c 07 00 00000000 000000000000000000000000", "no HTTP/2 server", id="goaway"),
        frames("000006 04 00 00000000 0002 00000007", "InvalidSettingsValueError", id="wrong-value"),
        frames("000000 04 00 00000000 000000 04 00 00000001", "ProtocolError", id="wrong-later"),
        frames("000000 04 00 00000000 000001 ff 00 00000000 00", "UnknownFrameReceived", id="unknown"),
    ],
)
def test_a_machine_that_breaks_the_rules_of_http_2_is_broken(lab: Lab, said_first: bytes, seen: str) -> None:
    after_tls(lab, lambda secure, over: said(secure, over, said_first))
    answer = asked(lab)
    assert answer.why is Silence.BROKEN
    assert seen in answer.text
