"""JSON as the API server must send it: anything ambiguous is an error, never a guess."""

import json
from typing import Any, NoReturn


def parse(data: bytes) -> Any:
    """Read one JSON document in UTF-8. Raises ValueError for duplicate keys, NaN, Infinity and endless nesting."""
    try:
        return json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} appears twice in one object")
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")
