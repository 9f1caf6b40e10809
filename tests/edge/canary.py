"""A planted secret, and what it looks like wherever it might turn up."""

import base64
import traceback
from urllib.parse import quote

TOKEN = "canary.dG9rZW4-of_this_test.K7qZ2v"
"""In every connection of the tests of the edge."""
KEY = "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5LWtleS1vZi10aGVzZS10ZXN0cw\n-----END PRIVATE KEY-----\n"


def forms(secret: str) -> set[str]:
    """The secret in plain, in an URL, and inside anything encoded as base64, wherever it begins."""
    found = {secret.strip(), quote(secret.strip()), *(line for line in secret.splitlines() if "-----" not in line)}
    for offset in range(3):
        encoded = base64.b64encode(b"." * offset + secret.encode()).decode().rstrip("=")
        found.add(encoded[4 if offset else 0 : -4])  # the edges depend on what is around it
    return found


def leaks(text: str, *secrets: str) -> list[str]:
    """The forms of these secrets that the text holds."""
    return [form for secret in secrets or (TOKEN, KEY) for form in forms(secret) if form in text]


def everything_said(error: BaseException | None) -> str:
    """An error as it may be printed: text, repr and traceback, and the same of every error behind it."""
    said: list[str] = []
    while error is not None:
        said += [str(error), repr(error), *traceback.format_exception(error)]
        error = error.__cause__ or error.__context__
    return "\n".join(said)
