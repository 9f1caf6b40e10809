"""The verb `backstop` over real sockets: what it starts, what it leaves, and that one failure hides nobody else."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from guards.backstop import run_backstop
from guards.core.verdict import Ending
from guards.exits import Exit
from guards.journal import Journal
from guards.kube.client import Client
from guards.kube.connect import connect
from guards.kube.transport import Limits
from guards.parameters import Rounds
from tests.cli.fakeapi import WORKFLOWS, FakeApi, kubeconfig, not_found, status

GROUP = "/apis/controlplane.cluster.x-k8s.io"
UID = "2b1c5f0e-5f0c-4a3e-9a55-3d9d1f6e7a10"
YOUNG, OLD = "2999-01-01T00:00:00Z", "2020-01-01T00:00:00Z"


def manager(time: str | None = YOUNG, **more: Any) -> dict[str, Any]:
    """An entry of managedFields that owns a part of the spec."""
    entry = {"manager": "argocd", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}} | more
    return entry | ({"time": time} if time else {})


def control_plane(name: str, *managers: dict[str, Any], **more: Any) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": "default",
        "uid": UID,
        "generation": 7,
        "labels": {"cluster.x-k8s.io/cluster-name": "homelab"},
        "managedFields": list(managers or [manager()]),
    }
    return {
        "apiVersion": "controlplane.cluster.x-k8s.io/v1alpha3",
        "kind": "TalosControlPlane",
        "metadata": metadata | more,
    }


@pytest.fixture
def api() -> Iterator[FakeApi]:
    served = FakeApi()
    served.replies["GET", GROUP] = (
        200,
        {"apiVersion": "v1", "kind": "APIGroup", "versions": [{"groupVersion": "", "version": "v1alpha3"}]},
    )
    yield served
    served.close()


Look = Callable[..., Ending]


def serve(api: FakeApi, *found: dict[str, Any], namespace: str = "default") -> None:
    """These TalosControlPlanes exist in the namespace. A Workflow is created under the name that was asked for."""
    answer = {
        "apiVersion": "controlplane.cluster.x-k8s.io/v1alpha3",
        "kind": "TalosControlPlaneList",
        "metadata": {"resourceVersion": "10"},
        "items": list(found),
    }
    api.replies["GET", f"{GROUP}/v1alpha3/namespaces/{namespace}/taloscontrolplanes"] = (200, answer)


@pytest.fixture
def look(api: FakeApi, tmp_path: Path) -> Iterator[Look]:
    connection = connect(str(kubeconfig(tmp_path / "kubeconfig", api.url)), None)
    client = Client(connection, Limits(1, 1, 1, 200_000, 1))

    def once(*namespaces: str) -> Ending:
        rounds = Rounds(namespaces=namespaces or ("default",), workflow_namespace="argo")
        return run_backstop(client, client, Journal(StringIO()), rounds)

    yield once
    client.close()


def accept(api: FakeApi, name: str) -> None:
    api.replies["POST", WORKFLOWS] = (201, workflow(name))


def workflow(name: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "argo"}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": metadata}


def test_a_lost_change_gets_its_run(api: FakeApi, look: Look) -> None:
    serve(api, control_plane("homelab-control-plane"))
    accept(api, "capi-homelab-control-plane-2b1c5f0e-g7")

    ending = look()

    assert ending.exit is Exit.DONE
    assert ending.sentence.endswith("started capi-homelab-control-plane-2b1c5f0e-g7")
    assert "TalosControlPlane default/homelab-control-plane generation 7 has no run since 2999" in ending.sentence
    assert api.posts() == [
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"name": "capi-homelab-control-plane-2b1c5f0e-g7", "namespace": "argo"},
            "spec": {
                "workflowTemplateRef": {"name": "capi-rollout-orchestrator"},
                "arguments": {
                    "parameters": [
                        {"name": "clusterName", "value": "homelab"},
                        {"name": "clusterNamespace", "value": "default"},
                        {"name": "tcpGeneration", "value": "7"},
                    ]
                },
            },
        }
    ]


def test_a_run_that_is_there_is_never_created_again(api: FakeApi, look: Look) -> None:
    serve(api, control_plane("cp"))
    api.replies["GET", f"{WORKFLOWS}/capi-cp-2b1c5f0e-g7"] = (200, workflow("capi-cp-2b1c5f0e-g7"))

    ending = look()

    assert (ending.exit, api.posts()) == (Exit.DONE, [])
    assert ending.sentence.startswith("nothing to start: TalosControlPlane default/cp generation 7 has its run")


def test_the_sensor_may_be_faster(api: FakeApi, look: Look) -> None:
    serve(api, control_plane("cp"))
    api.replies["POST", WORKFLOWS] = status(409, "already exists", reason="AlreadyExists")

    ending = look()

    assert ending.exit is Exit.DONE
    assert "has got its run capi-cp-2b1c5f0e-g7 meanwhile" in ending.sentence


LEFT = {
    "deleting": control_plane("cp", deletionTimestamp=YOUNG),
    "no label": control_plane("cp", labels={}),
    "old": control_plane("cp", manager(OLD)),
    "old, only the status is young": control_plane("cp", manager(OLD), manager(subresource="status")),
    "old, only others' fields are young": control_plane("cp", manager(OLD), manager(fieldsV1={"f:metadata": {}})),
}


@pytest.mark.parametrize("case", LEFT)
def test_what_needs_no_run(case: str, api: FakeApi, look: Look) -> None:
    serve(api, LEFT[case])

    assert (look().exit, api.posts()) == (Exit.DONE, [])


def test_the_youngest_manager_of_the_spec_counts(api: FakeApi, look: Look) -> None:
    serve(api, control_plane("cp", manager(OLD), manager(YOUNG), manager(OLD)))
    accept(api, "capi-cp-2b1c5f0e-g7")

    assert (look().exit, len(api.posts())) == (Exit.DONE, 1)


@pytest.mark.parametrize("managers", [[manager(None)], [{"operation": "Update"}]], ids=["no time", "no fields"])
def test_an_unknown_age_is_left_to_a_person(managers: list[Any], api: FakeApi, look: Look) -> None:
    serve(api, control_plane("cp", *managers))

    ending = look()

    assert (ending.exit, api.posts()) == (Exit.REFUSED, [])
    assert ending.sentence.endswith("next: python -m workflows submit --cluster homelab --cluster-namespace default")


def test_an_empty_namespace_is_said(api: FakeApi, look: Look) -> None:
    serve(api)

    ending = look()

    assert (ending.exit, ending.sentence) == (
        Exit.DONE,
        "nothing to start: no TalosControlPlane in namespace default",
    )


def test_what_cannot_be_read_keeps_no_other_from_its_run(api: FakeApi, look: Look) -> None:
    serve(api, control_plane("broken", generation="seven"), control_plane("cp"))
    api.replies["GET", f"{GROUP}/v1alpha3/namespaces/closed/taloscontrolplanes"] = status(403, "no", reason="Forbidden")
    accept(api, "capi-cp-2b1c5f0e-g7")

    ending = look("closed", "default")

    assert ending.exit is Exit.FORBIDDEN
    assert "TalosControlPlanes in closed: " in ending.sentence
    assert "next: kubectl apply -k overlay/management/capi-rollout" in ending.sentence
    assert "broken: metadata.generation is 'seven', expected a whole number" in ending.sentence
    assert ending.sentence.endswith("started capi-cp-2b1c5f0e-g7")
    assert len(api.posts()) == 1


FAILURES = {
    "look": ("GET", f"{WORKFLOWS}/capi-cp-2b1c5f0e-g7", status(403, "no", reason="Forbidden"), Exit.FORBIDDEN),
    "create": ("POST", WORKFLOWS, status(403, "no", reason="Forbidden"), Exit.FORBIDDEN),
    "refused": ("POST", WORKFLOWS, status(422, "bad", reason="Invalid"), Exit.REFUSED),
    "doubt": ("POST", WORKFLOWS, status(500, "etcd", reason="InternalError"), Exit.UNREACHABLE),
    "no argo": ("GET", "/apis/argoproj.io", not_found(""), Exit.CONTRACT),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_is_an_exit_code_and_never_no_run(case: str, api: FakeApi, look: Look) -> None:
    verb, path, answer, code = FAILURES[case]
    serve(api, control_plane("cp"))
    api.replies[verb, path] = answer

    ending = look()

    assert ending.exit is code
    assert ending.sentence.startswith("TalosControlPlane default/cp generation 7: ")


def test_the_process(api: FakeApi, tmp_path: Path) -> None:
    serve(api, control_plane("cp"))
    accept(api, "capi-cp-2b1c5f0e-g7")
    command = [sys.executable, "-m", "guards", "backstop", "--namespaces", "default", "--workflow-namespace", "argo"]
    command += ["--kubeconfig", str(kubeconfig(tmp_path / "kubeconfig", api.url))]

    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].endswith("started capi-cp-2b1c5f0e-g7")
    assert len(api.posts()) == 1
