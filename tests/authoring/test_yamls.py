"""The private YAML dumper: whatever goes in comes out for YAML 1.1 readers (Go, PyYAML), Hera or not."""

import subprocess
import sys

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from workflows import yamls

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.text(alphabet="ynoYNO0.:#-'\"{}&*!|> \n\t1e"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(min_size=1), inner),
)


@given(VALUES)
def test_everything_survives(value: object) -> None:
    assert yaml.safe_load(yamls.dump(value)) == value


AMBIGUOUS = (
    *("y", "N", "yes", "On", "off", "true", "null", "~", ""),
    *("1", "0755", "1e3", "1_000", "0x1f", "1:30", ".5", ".inf", "2026-01-01"),
    *("=", "<<", "- a", "? b", "a: b", "a #b", "{{x}}", "*a", "&a", "!a", "%a", "@a", "`a", " a", "a "),
)


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_text_that_could_be_read_as_something_else_is_quoted(text: str) -> None:
    assert yamls.dump({"key": text}) == f'key: "{text}"\n'


@pytest.mark.parametrize("text", ["control-plane", "a, b and c", "https://example.org/x", "v1.36.1", "/tmp/out", "a:b"])
def test_ordinary_text_is_plain(text: str) -> None:
    assert yamls.dump({"key": text}) == f"key: {text}\n"


def test_lines_stay_lines_and_are_never_wrapped() -> None:
    assert yamls.dump({"key": "one\n  two\n"}) == "key: |\n  one\n    two\n"
    assert yamls.dump({"key": "word " * 100 + "end"}).count("\n") == 1


def test_order_is_kept_and_nothing_is_an_alias() -> None:
    shared = {"b": 1, "a": 2}

    assert yamls.dump({"z": shared, "x": shared}) == "z:\n  b: 1\n  a: 2\nx:\n  b: 1\n  a: 2\n"


def test_several_documents_are_separated() -> None:
    assert yamls.dump_all([{"a": 1}, {"b": 2}]) == "a: 1\n---\nb: 2\n"


def test_hera_changes_nothing() -> None:
    program = (
        "from workflows import yamls; value = {'a': 'y', 'b': 'x\\ny\\n', 'c': '1', 'd': [None, True, 1]};"
        "before = yamls.dump(value); import hera.workflows; assert yamls.dump(value) == before; print(before)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert 'a: "y"' in done.stdout


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "b: {a: 1, a: 2}\n"])
def test_a_key_given_twice_is_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match="key 'a' is given twice"):
        yamls.load(text)
