"""What a step leaves behind: lines, last word, outputs, progress; and none of it can change a verdict."""

import io
from datetime import UTC, datetime
from pathlib import Path

from guards.core.verdict import Decision, Ending
from guards.exits import Exit
from guards.journal import Journal

NOW = datetime(2026, 1, 1, 12, 0, 5, tzinfo=UTC)


def pod(tmp_path: Path) -> tuple[Journal, io.StringIO]:
    out = io.StringIO()
    files = {"termination_log": tmp_path / "log", "progress_file": tmp_path / "progress"}
    return Journal(out, outputs=tmp_path / "outputs", **files), out


def test_one_line_per_change_not_per_look() -> None:
    out = io.StringIO()
    journal = Journal(out)
    journal.say(NOW, "a", "b")
    journal.say(NOW, "a", "b")
    journal.say(NOW, "a", "c")
    journal.say(NOW, "a", "b")
    assert [line.split(" ", 1)[1] for line in out.getvalue().splitlines()] == ["a", "b", "c", "b"]


def test_the_last_word_is_everywhere(tmp_path: Path) -> None:
    journal, out = pod(tmp_path)
    journal.end(NOW, Ending(Exit.REFUSED, "two machines are down", Decision.REFUSED))
    assert (tmp_path / "log").read_text() == "two machines are down"
    assert (tmp_path / "outputs/decision").read_text() == "refused"
    assert (tmp_path / "outputs/summary").read_text() == "two machines are down"
    assert out.getvalue() == "12:00:05 exit 3: two machines are down\n"


def test_progress(tmp_path: Path) -> None:
    journal, _ = pod(tmp_path)
    journal.progress(2, 6)
    assert (tmp_path / "progress").read_text() == "2/6\n"


def test_text_from_outside_is_one_bounded_line(tmp_path: Path) -> None:
    journal, out = pod(tmp_path)
    journal.end(NOW, Ending(Exit.DONE, "a\nb\x1b[31m" + "é" * 10_000))
    assert out.getvalue().count("\n") == 1
    assert "\x1b" not in out.getvalue()
    assert len((tmp_path / "log").read_bytes()) <= 4096
    assert len((tmp_path / "outputs/summary").read_bytes()) <= 8192


def test_outputs_that_cannot_be_written_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    closed = io.StringIO()
    closed.close()
    blocked = tmp_path / "file" / "x"
    journal = Journal(closed, outputs=blocked, termination_log=blocked, progress_file=blocked)
    journal.say(NOW, "a")
    journal.progress(1, 2)
    journal.end(NOW, Ending(Exit.DONE, "a"))
