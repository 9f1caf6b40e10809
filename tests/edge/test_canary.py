"""The canary itself: a planted secret is heard on every way out, in every form. Or silence would prove nothing."""

import asyncio
import base64
import io
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import pytest
from grpclib.client import Stream
from kubernetes.client import Configuration

from guards.core.verdict import Ending
from guards.exits import Exit
from guards.journal import Journal
from guards.kube.access import EVENT
from guards.kube.connect import bounded
from guards.kube.errors import Unreachable
from guards.kube.transport import Transport
from guards.simulator import Simulation
from guards.talos.client import TalosClient
from guards.talos.cosi_pb2 import GetRequest
from guards.talos.ports import BadCredential
from tests.edge.canary import KEY, PLANTED, TOKEN, forms, leaks
from tests.edge.conftest import HASTY
from tests.edge.eavesdrop import Ears
from tests.talos.pki import NOW, Authority, talosconfig


@pytest.fixture
def ears(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ears]:
    made = Ears(monkeypatch)
    yield made
    made.close()
    made._said.clear()
    made._errors.clear()


def every_form(secret: str) -> list[str]:
    """As it may turn up: bare, quoted, inside base64 at any place, in a line of its own."""
    inside = [base64.b64encode(b"-" * offset + secret.encode() + b"tail").decode() for offset in range(6)]
    return [secret, repr(secret), quote(secret), f"Bearer {secret}", *inside]


@pytest.mark.parametrize("secret", [TOKEN, KEY])
def test_every_form_is_recognised(secret: str) -> None:
    assert [form for form in every_form(secret) if not leaks(f"<{form}>")] == []


def test_what_is_no_secret_is_none() -> None:
    assert leaks("list machines.cluster.x-k8s.io in default: HTTP 403: machines is forbidden") == []
    assert min(len(form) for secret in PLANTED for form in forms(secret)) >= 12, "a short one is in every other word"


def printed(secret: str) -> None:
    Journal(io.StringIO()).end(datetime(2026, 1, 1, tzinfo=UTC), Ending(Exit.BUG, f"a bug: {secret}"))


def logged(secret: str) -> None:
    logging.getLogger("urllib3").debug("header %s", secret)


def raised(secret: str) -> None:
    with suppress(Unreachable):
        raise Unreachable(f"proxy said {secret}")


def raised_by_talos(secret: str) -> None:
    with suppress(BadCredential):
        raise BadCredential(f"no PEM: {secret}")


def quoted_by_a_cause(secret: str) -> None:
    """YAML quotes the line around a fault; the error of ours behind which it stands says nothing of it."""
    with suppress(Unreachable):
        try:
            raise ValueError(f'line 3: "{secret}"')
        except ValueError as error:
            raise Unreachable("is no YAML") from error


def sent(secret: str) -> None:
    transport = Transport(bounded(Configuration(host="http://127.0.0.1:1")), HASTY)
    with suppress(Unreachable):
        transport.send("POST", "http://127.0.0.1:1/", {"X-Debug": secret})


def asked_for(secret: str) -> None:
    transport = Transport(bounded(Configuration(host="http://127.0.0.1:1")), HASTY)
    with suppress(Unreachable):
        transport.send("GET", f"http://127.0.0.1:1/?token={quote(secret)}", {})


def sent_to_a_machine(secret: str) -> None:
    """What a stream without a connection was to send."""
    asyncio.run(Stream.send_message(cast(Any, None), GetRequest(id=secret)))


def stored(secret: str) -> None:
    metadata = {"name": "a", "namespace": "default", "annotations": {"note": secret}}
    body: dict[str, Any] = {"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": metadata}
    Simulation().create(EVENT, "default", body | {"regarding": {"namespace": "default"}})


WAYS_OUT = (printed, logged, raised, raised_by_talos, quoted_by_a_cause, sent, asked_for, sent_to_a_machine, stored)


@pytest.mark.parametrize("way", WAYS_OUT)
@pytest.mark.parametrize("secret", [TOKEN, KEY])
def test_every_way_out_is_heard(ears: Ears, way: Callable[[str], None], secret: str) -> None:
    with suppress(Exception):  # what becomes of it does not matter
        way(secret)
    assert ears.leaks() != []


def test_the_credentials_own_header_is_no_leak(ears: Ears) -> None:
    transport = Transport(bounded(Configuration(host="http://127.0.0.1:1")), HASTY)
    with suppress(Unreachable):
        transport.send("GET", "http://127.0.0.1:1/", {"Authorization": f"Bearer {TOKEN}"})
    assert ears.leaks() == []


def test_what_is_written_to_standard_output_fails_the_test(pytester: pytest.Pytester) -> None:
    """Also by a line that no object of ours has written, in a test of one of the watched folders."""
    pytester.makeconftest("from tests.conftest import *  # noqa: F403")
    folder = pytester.mkpydir("edge")
    (folder / "test_it.py").write_text(f"def test_it():\n    print({TOKEN!r})\n")
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--rootdir", str(pytester.path))
    done.assert_outcomes(passed=1, errors=1)
    done.stdout.fnmatch_lines(["*a planted secret was printed*"])


def test_the_key_of_a_talosconfig_is_planted_when_it_is_loaded(ears: Ears, tmp_path: Path) -> None:
    authority = Authority()
    pair = authority.client(["os:operator"])
    (tmp_path / "default.homelab").write_text(talosconfig(authority, client=pair))
    TalosClient(tmp_path, "default", "homelab", lambda: NOW).credential()
    line = pair.key.decode().splitlines()[1]
    assert leaks(f"says {line}!") != []
    assert leaks(f"says {base64.b64encode(pair.key).decode()}!") != []
