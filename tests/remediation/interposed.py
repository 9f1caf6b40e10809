"""Between the step and its two doors: counts every call, and lets the process die before or after one of them."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

CALLS = frozenset(
    ("get", "list", "create", "update", "delete", "allowed", "watch", "wait", "credential", "ask", "reboot")
)


class Crash(BaseException):
    """The process is gone: no handler of the step may stop it."""


class Interposed:
    """`door` with every call numbered by the shared `counter`."""

    def __init__(self, door: Any, counter: "Counter") -> None:
        self._door, self._counter = door, counter

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._door, name)
        return self._counter.around(name, found) if name in CALLS else found


class Counter:
    """Crashes at call `at`, `after` it was done or before; 0 = never."""

    def __init__(self, at: int = 0, *, after: bool = False) -> None:
        self.calls: list[str] = []
        self._at, self._after = at, after

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            self.calls.append(name)
            mine = len(self.calls) == self._at
            if mine and not self._after:
                raise Crash(name)
            answer = call(*arguments)
            if mine:
                raise Crash(name)
            return answer

        return counted


@contextmanager
def crash_at_line(number: int, within: str, files: frozenset[Path]) -> Iterator[list[int]]:
    """Raise Crash at the `number`-th executed line of `files` while the function `within` runs; 0 = only count."""
    seen = [0]
    inside = [0]

    def lines(frame: FrameType, event: str, _: object) -> Any:
        if event == "line" and inside[0]:
            seen[0] += 1
            if seen[0] == number:
                raise Crash(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        if event == "return" and frame.f_code.co_name == within:
            inside[0] -= 1
        return lines

    def calls(frame: FrameType, _event: str, _: object) -> Any:
        if Path(frame.f_code.co_filename) not in files:
            return None
        if frame.f_code.co_name == within:
            inside[0] += 1
        return lines

    sys.settrace(calls)
    try:
        yield seen
    finally:
        sys.settrace(None)
