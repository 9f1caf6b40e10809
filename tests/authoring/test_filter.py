"""The Sensor's Lua filter, run by a real Lua 5.1: only a new generation of a labelled, living object passes."""

import json
from typing import Any

import pytest
from lupa.lua51 import LuaRuntime

LABEL = {"cluster.x-k8s.io/cluster-name": "homelab"}


def control_plane(generation: int = 7, labels: Any = LABEL, **more: Any) -> dict[str, Any]:
    metadata = {"name": "cp", "generation": float(generation), "labels": labels} | more
    return {"metadata": {key: value for key, value in metadata.items() if value is not None}}


def passes(script: str, body: dict[str, Any], old: dict[str, Any] | None) -> object:
    """As Argo Events does it: the event is a global, what the script returns decides; only `true` is true."""
    lua = LuaRuntime()
    event = json.loads(json.dumps({"body": body, "oldBody": old}))  # lupa empties the second copy of a shared dict
    lua.globals()["event"] = lua.table_from(event, recursive=True)
    return lua.execute(script)


@pytest.fixture
def script(files: Any) -> str:
    (dependency,) = files["capi-rollout/sensor-capi-rollout.yaml"][0]["spec"]["dependencies"]
    return str(dependency["filters"]["script"])


CASES: dict[str, tuple[dict[str, Any], dict[str, Any] | None, bool]] = {
    "created, or replayed after a restart": (control_plane(), None, True),
    "spec changed": (control_plane(8), control_plane(7), True),
    "status changed": (control_plane(7), control_plane(7), False),
    "label added": (control_plane(), control_plane(labels={}), True),
    "first labels": (control_plane(), control_plane(labels=None), True),
    "label removed": (control_plane(8, labels={}), control_plane(7), False),
    "no labels at all": (control_plane(8, labels=None), control_plane(7, labels=None), False),
    "created without label": (control_plane(labels={"app": "x"}), None, False),
    "deletion": (control_plane(8, deletionTimestamp="2026-01-01T00:00:00Z"), control_plane(7), False),
    "replayed while deleting": (control_plane(deletionTimestamp="2026-01-01T00:00:00Z"), None, False),
}


@pytest.mark.parametrize("case", CASES)
def test_the_filter(case: str, script: str) -> None:
    body, old, expected = CASES[case]

    assert passes(script, body, old) is expected
