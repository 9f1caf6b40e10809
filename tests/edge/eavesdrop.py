"""Hears whatever a test makes the product print, log, raise, send or store. T14: no planted secret is in any of it."""

import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from grpclib.client import Stream

from guards.journal import Journal
from guards.kube.errors import KubeError
from guards.kube.transport import Transport
from guards.simulator import stored
from guards.talos.ports import TalosError
from tests.edge.canary import everything_said, leaks, plant

TALKATIVE = ("urllib3", "kubernetes", "grpclib")
"""Loggers of the libraries that handle credentials; heard at every level."""
for name in TALKATIVE:
    logging.getLogger(name).setLevel(logging.DEBUG)


class Ears(logging.Handler):
    """Attached to everything while its test runs. `leaks` is asked when the test is over."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(logging.DEBUG)
        self._said: dict[str, None] = {}
        self._errors: dict[str, BaseException] = {}
        for error in (KubeError, TalosError):
            monkeypatch.setattr(error, "__init__", self._raised)
        for owner, name, told in (
            (Journal, "_print", lambda _self, _now, text: text),
            (Transport, "_request", self._asked),
            (Stream, "send_message", self._sent),
            (stored, "create", lambda *arguments: repr(arguments[-1])),
            (stored, "update", lambda *arguments: repr(arguments[-1])),
        ):
            monkeypatch.setattr(owner, name, self._tapped(getattr(owner, name), told))
        monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", _planting)
        logging.root.addHandler(self)

    def close(self) -> None:
        logging.root.removeHandler(self)
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        self._said[self.format(record)] = None

    def leaks(self) -> list[str]:
        said = [*self._said, *(everything_said(error) for error in tuple(self._errors.values()))]
        return leaks("\n".join(said))

    def _tapped(self, call: Callable[..., Any], told: Callable[..., str]) -> Callable[..., Any]:
        def tapped(*arguments: Any, **more: Any) -> Any:
            self._said[told(*arguments, **more)] = None
            return call(*arguments, **more)

        return tapped

    @property
    def _raised(self) -> Callable[..., None]:
        def heard(error: Exception, *arguments: object) -> None:
            self._errors.setdefault(repr(arguments), error)

        return heard

    @staticmethod
    def _asked(_transport: object, method: str, url: str, headers: dict[str, str], body: Any, *_: object) -> str:
        """A request without the one header in which the credential belongs."""
        return repr((method, url, {name: headers[name] for name in headers if name != "Authorization"}, body))

    @staticmethod
    def _sent(_stream: object, message: Message, **_: object) -> str:
        return f"{message!r}\n{message.SerializeToString()!r}"


def _planting(context: ssl.SSLContext, certfile: str, *arguments: Any, **more: Any) -> None:
    """Whatever private key a client loads is a secret from then on: of a talosconfig, of a kubeconfig."""
    if context.protocol == ssl.PROTOCOL_TLS_CLIENT:
        plant(
            Path(arguments[0] if arguments and arguments[0] else certfile).read_text().rpartition("CERTIFICATE-----")[2]
        )
    super(ssl.SSLContext, context).load_cert_chain(certfile, *arguments, **more)
