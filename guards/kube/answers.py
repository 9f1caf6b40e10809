"""What an answer of the API server means. Only a document of exactly the expected kind is a success."""

from typing import Any

from guards.kube.errors import Conflict, Forbidden, Invalid, KubeError, NotFound, NotServed, Unreachable
from guards.kube.ports import Object
from guards.kube.strict import parse
from guards.kube.transport import Answer
from guards.text import printable

TRANSIENT = frozenset({429, 500, 502, 503, 504})
"""Statuses after which a read is tried again."""

_ERRORS: dict[int, type[KubeError]] = {400: Invalid, 401: Forbidden, 403: Forbidden, 404: NotFound, 409: Conflict}
_ERRORS |= {422: Invalid}

TEXT_LIMIT = 600
"""Characters of the API server's own words that an error keeps."""


def success(answer: Answer, what: str) -> Answer:
    """The answer, if its status is a 2xx; else its error is raised."""
    if not 200 <= answer.status < 300:
        raise failure(answer, what)
    return answer


def document(answer: Answer, what: str, api_version: str, kind: str) -> Object:
    """The body of a success as an object of this kind. Unreachable for anything else that came with a 2xx."""
    return _of_kind(_mapping(answer, what, kind), what, api_version, kind)


def deleted(answer: Answer, what: str, api_version: str, kind: str, uid: str) -> None:
    """What a done deletion answers: a Status, or the object of this UID, which its finalizers still hold."""
    body = _mapping(answer, what, kind)
    if (body.get("apiVersion"), body.get("kind"), body.get("status")) == ("v1", "Status", "Success"):
        return
    seen = metadata(_of_kind(body, what, api_version, kind), what, "").get("uid")
    if seen != uid:
        raise Unreachable(f"{what}: the answer is a {kind} of UID {_plain(str(seen))}, expected {uid}")


def _mapping(answer: Answer, what: str, kind: str) -> Object:
    try:
        body = parse(answer.body)
    except ValueError as error:
        raise Unreachable(f"{what}: the answer is not the JSON of a {kind}: {_plain(str(error))}") from error
    if not isinstance(body, dict):
        raise Unreachable(f"{what}: the answer is {_plain(repr(body))}, expected a {kind}")
    return body


def _of_kind(body: Object, what: str, api_version: str, kind: str) -> Object:
    seen = (body.get("apiVersion"), body.get("kind"))
    if seen != (api_version, kind):
        is_a = _plain(f"{seen[1]} ({seen[0]})")
        detail = f": {_plain(str(body['message']))}" if body.get("message") else ""
        raise Unreachable(f"{what}: the answer is a {is_a}, expected {kind} ({api_version}){detail}")
    return body


def failure(answer: Answer, what: str) -> KubeError:
    """The error for a status outside 2xx. Its message keeps the API server's own words."""
    error = _ERRORS.get(answer.status, Unreachable)
    return error(f"{what}: HTTP {answer.status}: {_message(answer.body) or 'no message'}")


def refusal(answer: Answer, what: str, doubt: str) -> KubeError:
    """The error for a write that was not answered with a 2xx: a plain no, not yet, or `doubt`."""
    error = failure(answer, what)
    if answer.status == 429:
        return Unreachable(f"{error}; not done: run the whole guard again")
    if answer.status == 404 and missing_name(answer) is None:
        return NotServed(f"{error}; is the controller of this kind installed?")
    return failure(answer, doubt) if isinstance(error, Unreachable) else error


def missing_name(answer: Answer) -> str | None:
    """Which object a 404 says is missing; None when nothing is served at this path."""
    try:
        status = parse(answer.body)
    except ValueError:
        return None
    details = status.get("details") if isinstance(status, dict) else None
    name = details.get("name") if isinstance(details, dict) else None
    return name if isinstance(name, str) and name else None


def metadata(item: Any, what: str, namespace: str) -> dict[str, Any]:
    """The metadata of one object. Unreachable when there is none, or it belongs to another namespace."""
    found = item.get("metadata") if isinstance(item, dict) else None
    if not isinstance(found, dict) or not isinstance(found.get("name"), str):
        raise Unreachable(f"{what}: an object has no metadata.name")
    if namespace and found.get("namespace") != namespace:
        raise Unreachable(f"{what}: got {found['name']} of namespace {found.get('namespace')}, asked for {namespace}")
    return found


def _message(body: bytes) -> str:
    try:
        status = parse(body)
    except ValueError:
        return _plain(body[:2000].decode(errors="replace"))
    return _plain(str(status.get("message") or status)) if isinstance(status, dict) else _plain(repr(status))


def _plain(text: str) -> str:
    return printable(text.strip(), TEXT_LIMIT)
