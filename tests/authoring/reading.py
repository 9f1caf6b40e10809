"""Finding things in an exported WorkflowTemplate."""

import re
from collections.abc import Iterator
from typing import Any

Template = dict[str, Any]

VERBS = ("preflight", "control-plane", "workers", "report")
STEPS = VERBS[:3]
TAG = re.compile(r"\{\{(.*?)\}\}")
DECISION = "=steps.preflight.outputs?.parameters?.decision ?? 'unknown'"
"""How a `when` asks for preflight's decision: unknown where the pod was lost."""


def part(template: Template, name: str) -> dict[str, Any]:
    (found,) = [part for part in template["spec"]["templates"] if part["name"] == name]
    return found


def steps(template: Template) -> list[dict[str, Any]]:
    """The list of steps; never two at a time."""
    groups = part(template, template["spec"]["entrypoint"])["steps"]
    assert all(len(group) == 1 for group in groups)
    return [group[0] for group in groups]


def step(template: Template, name: str) -> dict[str, Any]:
    (found,) = [step for step in steps(template) if step["name"] == name]
    return found


def names(parameters: list[dict[str, Any]]) -> list[str]:
    return [parameter["name"] for parameter in parameters]


def texts(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every string with the keys that lead to it."""
    if isinstance(node, str):
        yield path, node
    for key, value in node.items() if isinstance(node, dict) else ():
        yield from texts(value, (*path, key))
    for value in node if isinstance(node, list) else ():
        yield from texts(value, path)
