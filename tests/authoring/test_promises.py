"""The exported template keeps its promises, and each promise is really looked at: breaking it is noticed."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.authoring import promises
from tests.authoring.reading import DECISION, STEPS, Template, part, step, steps

Change = Callable[[Template], Any]


def set_in(verb: str, key: str, value: Any) -> Change:
    return lambda template: part(template, verb).update({key: value})


def drop(key: str) -> Change:
    return lambda template: template["spec"].pop(key)


def drop_in(verb: str, *path: str) -> Change:
    def change(template: Template) -> None:
        node = part(template, verb)
        for key in path[:-1]:
            node = node[key]
        del node[path[-1]]

    return change


def stop_after(name: str) -> Change:
    return lambda template: step(template, name).pop("continueOn")


def singular_mutex(template: Template) -> None:
    lock = template["spec"]["synchronization"]
    lock["mutex"] = lock.pop("mutexes")[0]


def swapped(template: Template) -> None:
    groups = part(template, "rollout")["steps"]
    groups[1], groups[2] = groups[2], groups[1]


def plain_decision(template: Template) -> None:
    workers = step(template, "workers")
    workers["when"] = workers["when"].replace(DECISION, "steps.preflight.outputs.parameters.decision")


PROMISES: dict[Callable[[Template], bool], tuple[Change, ...]] = {
    promises.one_run_per_cluster: (drop("synchronization"), singular_mutex),
    promises.control_plane_before_workers: (swapped, lambda t: part(t, "rollout")["steps"].pop()),
    promises.failures_reach_the_report: tuple(stop_after(name) for name in STEPS),
    promises.the_report_ends_every_run: (drop("hooks"),),
    promises.a_report_is_never_repeated: (set_in("report", "retryStrategy", {"limit": "3"}),),
    promises.termination_fails_the_run: (
        lambda t: steps(t)[-1].update(continueOn={"failed": True}),
        drop_in("not-terminated", "suspend"),
    ),
    promises.lost_steps_start_again: (
        drop_in("workers", "retryStrategy", "limit"),
        drop_in("preflight", "retryStrategy"),
    ),
    promises.every_output_has_a_default: (
        lambda t: part(t, "workers")["outputs"]["parameters"][0]["valueFrom"].pop("default"),
        drop_in("control-plane", "outputs"),
    ),
    promises.an_unknown_decision_never_rolls: (
        lambda t: part(t, "preflight")["outputs"]["parameters"][0]["valueFrom"].update(default="roll"),
    ),
    promises.a_lost_decision_never_waits: (plain_decision,),
    promises.every_step_gets_every_knob: (lambda t: part(t, "workers")["inputs"]["parameters"].pop(),),
    promises.steps_know_their_node: (drop_in("control-plane", "script", "env"),),
    promises.parameters_are_data: (
        lambda t: part(t, "workers")["script"].update(source="print('{{inputs.parameters.scope}}')"),
        lambda t: part(t, "workers")["script"]["command"].append("{{inputs.parameters.scope}}"),
    ),
    promises.tags_only_where_they_are_data: (
        lambda t: part(t, "workers")["script"].update(image="{{workflow.parameters.image}}"),
        lambda t: t["spec"].update(serviceAccountName="{{workflow.parameters.account}}"),
        lambda t: part(t, "workers")["script"]["command"].append("{{workflow.parameters.scope}}"),
    ),
    promises.tags_name_real_parameters: (
        lambda t: t["spec"]["workflowMetadata"]["labels"].update(x="{{workflow.parameters.scpoe}}"),
        lambda t: t["spec"]["synchronization"]["mutexes"][0].update(name="{{workflow.parameters.cluster}}"),
    ),
    promises.arguments_are_the_knobs: (
        lambda t: t["spec"]["arguments"]["parameters"].pop(),
        lambda t: t["spec"]["arguments"]["parameters"][0].update(value="null"),
    ),
    promises.pods_are_restricted: (
        drop_in("report", "script", "securityContext"),
        lambda t: t["spec"]["securityContext"].pop("runAsUser"),
    ),
    promises.memory_is_bounded_and_the_cpu_is_not: (
        lambda t: part(t, "workers")["script"]["resources"]["limits"].update(cpu="100m"),
        lambda t: part(t, "workers")["script"]["resources"].update(limits={}),
    ),
    promises.tmp_can_be_written: (set_in("workers", "volumes", []),),
    promises.steps_leave_a_lost_node_early: (drop("tolerations"),),
    promises.a_drain_is_never_blocked: (lambda t: t["spec"].update(podDisruptionBudget={"minAvailable": 1}),),
    promises.old_runs_and_pods_go: (drop("podGC"), drop("ttlStrategy"), drop("activeDeadlineSeconds")),
    promises.runs_can_be_told_apart: (drop("workflowMetadata"),),
    promises.display_names_are_legal: (
        set_in("report", "annotations", {"workflows.argoproj.io/display-name": "the report"}),
        drop_in("workers", "annotations"),
    ),
    promises.everybody_runs_as_the_runner: (
        drop("serviceAccountName"),
        set_in("workers", "serviceAccountName", "admin"),
    ),
    promises.nothing_is_null: (lambda t: t["spec"]["arguments"]["parameters"][0].update(value="null"),),
}


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_the_template_keeps(promise: Callable[[Template], bool], template: Template) -> None:
    assert promise(template)


@pytest.mark.parametrize(
    ("promise", "change"), [(promise, change) for promise, changes in PROMISES.items() for change in changes]
)
def test_breaking_a_promise_is_noticed(promise: Callable[[Template], bool], change: Change, template: Template) -> None:
    broken = copy.deepcopy(template)
    change(broken)

    assert broken != template
    assert not promise(broken)


def test_no_promise_is_forgotten() -> None:
    declared = {
        value
        for value in vars(promises).values()
        if callable(value) and getattr(value, "__module__", "") == promises.__name__
    }
    assert declared == set(PROMISES)
    assert all(PROMISES.values()), "a promise that nothing here breaks may be an empty one"
