"""Everything a step says: lines on stdout, the last word in the termination log, Argo's outputs and progress file.

A failing output never changes a verdict: what cannot be written is given up, the exit code still tells.
"""

import os
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TextIO

from guards.core.verdict import Ending
from guards.text import printable

TERMINATION_LOG = Path("/dev/termination-log")
OUTPUTS = Path("/tmp/outputs")  # noqa: S108 - Argo reads output parameters from here; the pod has its own /tmp
LINE_LIMIT = 2_000
TERMINATION_LIMIT = 4_096
"""Kubernetes cuts termination messages at 4096 bytes."""
OUTPUT_LIMIT = 8_192


class Journal:
    """Prints what changed, once. `outputs` None: a person's terminal, no files.

    Two threads may speak: the one that works, and the one that a signal woke. The first last word stands.
    """

    def __init__(
        self,
        out: TextIO = sys.stdout,
        *,
        outputs: Path | None = None,
        termination_log: Path | None = None,
        progress_file: Path | None = None,
    ) -> None:
        self._out = out
        self._outputs = outputs
        self._termination_log = termination_log
        self._progress_file = progress_file
        self._last: tuple[str, ...] = ()
        self._ending: Ending | None = None
        self._lock = threading.Lock()

    @classmethod
    def of_pod(cls, environment: Mapping[str, str]) -> "Journal":
        """All the files Argo and Kubernetes read."""
        progress = environment.get("ARGO_PROGRESS_FILE")
        log = TERMINATION_LOG if os.access(TERMINATION_LOG, os.W_OK) else None
        return cls(outputs=OUTPUTS, termination_log=log, progress_file=Path(progress) if progress else None)

    def say(self, now: datetime, *lines: str) -> None:
        """What is to be said at this look. Only the lines that were not said at the last one are printed."""
        for line in lines:
            if line not in self._last:
                self.line(now, line)
        self._last = lines

    def progress(self, done: int, total: int) -> None:
        """`N/M` for the Argo UI; Argo wants M > 0."""
        if self._progress_file is not None and total:
            _write(self._progress_file, f"{done}/{total}\n")

    def end(self, now: datetime, ending: Ending) -> Ending:
        """The last word, everywhere it is looked for; the one that stands, when there was one before."""
        with self._lock:
            if self._ending is None:
                self._ending = ending
                self._write_files(ending)
                mark = "ok" if ending.exit == 0 else f"exit {int(ending.exit)}"
                self._print(now, f"{mark}: {ending.sentence}")
            return self._ending

    def line(self, now: datetime, text: str) -> None:
        """One line, whatever was said before; nothing after the last word."""
        with self._lock:
            if self._ending is None:
                self._print(now, text)

    def _print(self, now: datetime, text: str) -> None:
        with suppress(OSError, ValueError):
            print(f"{now:%H:%M:%S} {printable(text, LINE_LIMIT)}", file=self._out, flush=True)

    def _write_files(self, ending: Ending) -> None:
        if self._termination_log is not None:
            _write(self._termination_log, cut(printable(ending.sentence, TERMINATION_LIMIT), TERMINATION_LIMIT))
        if self._outputs is not None:
            with suppress(OSError):
                self._outputs.mkdir(parents=True, exist_ok=True)
            _write(self._outputs / "decision", str(ending.decision or ""))
            _write(self._outputs / "summary", cut(printable(ending.sentence, OUTPUT_LIMIT), OUTPUT_LIMIT))


def cut(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8."""
    raw = text.encode()
    return text if len(raw) <= limit else raw[: limit - 3].decode(errors="ignore") + "…"


def _write(path: Path, content: str) -> None:
    with suppress(OSError):
        path.write_text(content, encoding="utf-8")
