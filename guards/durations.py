"""Durations as people write them in Go and Kubernetes: `90s`, `5m`, `1h30m`. A unit is required."""

import re
from datetime import timedelta

_UNITS = {"h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?")


def parse_duration(text: str) -> timedelta:
    """Read `1h30m`, `45m`, `0s`. Raises ValueError that says how to write it."""
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        hint = f"write {text}s or {text}m" if text.isdecimal() else "write for example 30s, 5m or 1h30m"
        raise ValueError(f"{text!r} is not a duration with a unit: {hint}")
    return timedelta(
        seconds=sum(int(part or 0) * unit for part, unit in zip(match.groups(), _UNITS.values(), strict=True))
    )


def format_duration(value: timedelta) -> str:
    """The shortest form in whole seconds: `1h30m`, `45m`, `12s`, `0s`."""
    seconds = max(0, int(value.total_seconds()))
    parts = []
    for unit, size in _UNITS.items():
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
