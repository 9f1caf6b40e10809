"""A seeded bug: a small change of the code that a named test must catch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """In `file`, `old` (which occurs exactly once) becomes `new`; `test` must fail then."""

    name: str
    file: str
    old: str
    new: str
    test: str
