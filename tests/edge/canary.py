"""Planted secrets, and what they look like wherever they might turn up."""

import base64
import traceback
from functools import cache
from urllib.parse import quote

from guards.simulator.wire_machines import CANARY

TOKEN = "canary.dG9rZW4-of_this_test.K7qZ2v"
"""In every connection of the tests of the edge."""
KEY = "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5LWtleS1vZi10aGVzZS10ZXN0cw\n-----END PRIVATE KEY-----\n"
PLANTED = {TOKEN, KEY, CANARY}
"""Every secret that a test has put into a connection, a talosconfig, a kubeconfig or an object of the cluster."""


def plant(secret: str) -> str:
    """The secret, which must not turn up anywhere from now on."""
    PLANTED.add(secret)
    return secret


@cache
def forms(secret: str) -> frozenset[str]:
    """The secret in plain, in an URL, and inside anything encoded as base64, wherever it begins."""
    lines = [line for line in secret.splitlines() if line and "-----" not in line]
    found = {secret.strip(), quote(secret.strip()), *lines}
    for part in (secret, *lines):
        for offset in range(3):
            encoded = base64.b64encode(b"." * offset + part.encode()).decode().rstrip("=")
            found.add(encoded[4 if offset else 0 : -4])  # the edges depend on what is around it
    return frozenset(found)


def leaks(text: str, *secrets: str) -> list[str]:
    """The forms of these secrets (default: of all that are planted) that the text holds."""
    return [form for secret in secrets or tuple(PLANTED) for form in forms(secret) if form in text]


def everything_said(error: BaseException | None) -> str:
    """An error as it may be printed: text, repr and traceback, and the same of every error behind it."""
    said: list[str] = []
    while error is not None:
        said += [str(error), repr(error), *traceback.format_exception(error)]
        error = error.__cause__ or error.__context__
    return "\n".join(said)
