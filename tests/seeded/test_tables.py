"""The tables of seeded bugs fit the code they are about, also where nobody has the minutes to try each bug."""

from tests.seeded.test_seeded_bugs import BUGS, ROOT


def test_names_are_unique() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS) > 0


def test_each_bug_is_one_change_of_the_code() -> None:
    texts = {bug.file: (ROOT / bug.file).read_text() for bug in BUGS}
    found = {bug.name: texts[bug.file].count(bug.old) for bug in BUGS if bug.old != bug.new}
    assert found == dict.fromkeys((bug.name for bug in BUGS), 1)
