"""JSON as the API server must send it: anything ambiguous is an error, never a guess."""

import json
import math
from typing import Any, NoReturn

DEPTH = 64
"""Objects and lists inside each other; no API object comes near it, and what is deeper exhausts whoever walks it."""


def parse(data: bytes) -> Any:
    """Read one JSON document in UTF-8. ValueError for duplicate keys, numbers beyond all bounds and deep nesting."""
    try:
        document = json.loads(
            data.decode(), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if _deeper_than(DEPTH, document):
        raise ValueError(f"nested too deeply, expected at most {DEPTH} levels")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} appears twice in one object")
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text:.40} is too large a number")
    return number


def _deeper_than(levels: int, document: Any) -> bool:
    """Level by level, not by recursion: the depth is what is in doubt."""
    level = [document]
    for _ in range(levels):
        inner = (item.values() if type(item) is dict else item for item in level if type(item) in (dict, list))
        level = [value for values in inner for value in values if type(value) in (dict, list)]
        if not level:
            return False
    return True
