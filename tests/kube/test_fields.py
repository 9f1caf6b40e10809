"""Strict reading: a wrong type is an error that names the object and the path, an absent field is no guess."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guards.kube import fields
from guards.kube.errors import Malformed
from guards.kube.rows import control_plane_row, deployment_row, machine_row, machine_set_row
from tests.kube.wire import control_plane, deployment, machine, machine_set

NAMED = {"kind": "Machine", "metadata": {"namespace": "default", "name": "w-1"}}


@pytest.mark.parametrize(
    ("reader", "value"),
    [
        (fields.text, 1), (fields.text, ["a"]), (fields.flag, "true"), (fields.flag, 1), (fields.whole, "3"),
        (fields.whole, True), (fields.whole, 3.0), (fields.replicas, -1), (fields.replicas, 10_001),
        (fields.replicas, "3"), (fields.int_or_text, True), (fields.int_or_text, 1.5), (fields.items, {"a": 1}),
        (fields.items, ["a"]), (fields.instant, "yesterday"), (fields.instant, "2026-01-01T00:00:00"),
        (fields.instant, 1767225600), (fields.required, ""),
    ],
)  # fmt: skip
def test_a_wrong_type_is_malformed(reader, value) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Malformed, match=r"Machine default/w-1: spec\.x"):
        reader({**NAMED, "spec": {"x": value}}, "spec", "x")


def test_absent_is_not_zero() -> None:
    assert fields.whole(NAMED, "spec", "x") is None
    assert fields.int_or_text(NAMED, "spec", "x") is None
    assert fields.int_or_text({**NAMED, "spec": {"x": 0}}, "spec", "x") == 0
    assert fields.replicas(NAMED, "spec", "replicas") == 1
    assert fields.replicas({**NAMED, "spec": {"replicas": 0}}, "spec", "replicas") == 0


def test_a_path_through_something_else_is_malformed() -> None:
    with pytest.raises(Malformed, match="spec is str, expected an object"):
        fields.at({**NAMED, "spec": "x"}, "spec", "x")


def test_two_controllers_are_malformed() -> None:
    owners = [{"kind": "MachineSet", "uid": str(i), "controller": True} for i in (1, 2)]
    with pytest.raises(Malformed, match="2 controllers"):
        fields.controller({**NAMED, "metadata": {"ownerReferences": owners}})


def test_an_owner_that_does_not_control_is_none() -> None:
    assert fields.controller({**NAMED, "metadata": {"ownerReferences": [{"kind": "MachineSet", "uid": "1"}]}}) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
READERS = {
    "Machine": (machine, machine_row),
    "MachineDeployment": (deployment, deployment_row),
    "MachineSet": (machine_set, machine_set_row),
    "TalosControlPlane": (control_plane, control_plane_row),
}


@pytest.mark.parametrize("kind", READERS)
@given(data=st.data())
def test_garbage_anywhere_is_a_row_or_malformed_never_a_crash(kind: str, data: st.DataObject) -> None:
    build, read = READERS[kind]
    version = data.draw(st.sampled_from(["v1beta1", "v1beta2"]))
    wire = json.loads(json.dumps(build(version)))
    spots = list(_spots(wire))
    parent, key = data.draw(st.sampled_from(spots))
    parent[key] = data.draw(JSON)
    try:
        read(wire, version)
    except Malformed as error:
        assert str(error)  # noqa: PT017 - any other exception fails the test


def _spots(value):  # type: ignore[no-untyped-def]
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _spots(value[key])
