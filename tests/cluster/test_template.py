"""The exported template on the real API server and controller, unedited."""

import json
import tarfile
from collections.abc import Iterator

import pytest

from tests.cluster.management import HOOK, Management, Object, labs

pytestmark = pytest.mark.cluster("capi")

NAME = "shape"
LABS = (("kubeadm", NAME),)


@pytest.fixture(scope="module")
def workers(management: Management) -> Iterator[str]:
    """A kubeadm lab that is settled."""
    with labs(management, *LABS):
        yield NAME


def test_argo_lints_it_offline_and_strictly(management: Management) -> None:
    overlay = management.folder / "overlay/management/argo-workflows/capi-rollout-workflowtemplate.yaml"
    done = management.run("argo", "lint", "--offline", "--strict", "--kinds", "workflowtemplates", str(overlay))
    assert "no linting errors found" in done.stdout


def test_the_api_server_holds_what_was_exported(management: Management) -> None:
    """Nothing was pruned: every key that was sent came back."""
    from workflows.yamls import load

    sent = load(
        (management.folder / "overlay/management/argo-workflows/capi-rollout-workflowtemplate.yaml").read_text()
    )
    held = management.get("workflowtemplate", "capi-rollout-orchestrator", "argo")
    assert lost(sent["spec"], held["spec"]) == []


def lost(sent: object, held: object, path: str = "spec") -> list[str]:
    if isinstance(sent, dict) and isinstance(held, dict):
        return [entry for key in sent for entry in lost(sent[key], held.get(key), f"{path}.{key}")]
    if isinstance(sent, list) and isinstance(held, list) and len(sent) == len(held):
        return [entry for i, one in enumerate(sent) for entry in lost(one, held[i], f"{path}[{i}]")]
    return [] if sent == held or path.endswith(".image") else [f"{path}: {sent!r} became {held!r}"]


def test_the_pod_runs_the_image_of_this_tree(management: Management, workers: str) -> None:
    run = management.submit(workers, "--scope", "workers")
    pod = management.get("pod", run.pod("preflight"), "argo")
    main = next(one for one in pod["status"]["containerStatuses"] if one["name"] == "main")
    run.ended()
    spec = next(one for one in pod["spec"]["containers"] if one["name"] == "main")
    assert spec["image"] == management.image
    assert main["imageID"].split("@")[-1] in {management.digest, config_digest(management)}, main["imageID"]


def config_digest(management: Management) -> str:
    """Digest of the image's config, which is what an image imported without a registry is known by."""
    with tarfile.open(management.archive) as archive:
        blob = archive.extractfile(f"blobs/sha256/{management.digest.removeprefix('sha256:')}")
        assert blob is not None
        manifest = json.load(blob)
    return str(manifest["config"]["digest"])


def test_a_scope_skips_the_other_step_without_an_error(management: Management, workers: str) -> None:
    """Something outdated, so that preflight says roll: the control-plane step must not run, nor fail."""
    run = management.submit(workers, "--scope", "workers").ended()
    assert run.exit == 0
    assert {node["phase"] for node in run.nodes("control-plane")} == {"Skipped"}


def test_a_refusal_fails_the_run_with_our_sentence_in_the_list(management: Management, workers: str) -> None:
    run = management.submit(workers, "--scope", "control-plane").ended()
    assert (run.phase, run.exit) == ("Failed", 3)
    sentence = "Cluster shape: has no TalosControlPlane (KubeadmControlPlane shape-cp)"
    assert sentence in run.message
    assert sentence in management.run_list(run.name)
    assert {node["type"] for step in ("control-plane", "workers") for node in run.nodes(step)} == {"Skipped"}


@pytest.fixture(scope="module")
def rolling(management: Management, workers: str) -> Iterator[str]:
    """The lab in mid-roll, standing still: its first worker is deleting and stays so until `release`."""
    for machine in worker_machines(management):
        hook(management, machine, "")
    change = {"spec": {"template": {"spec": {"version": "v1.35.1"}}}}
    management.patch("machinedeployments", f"{workers}-workers", change)
    yield workers
    release(management)


def worker_machines(management: Management) -> list[Object]:
    return management.list("machines", labels=f"cluster.x-k8s.io/deployment-name={NAME}-workers")


def hook(management: Management, machine: Object, value: str | None) -> None:
    management.patch("machines", machine["metadata"]["name"], {"metadata": {"annotations": {HOOK: value}}})


def release(management: Management) -> None:
    for machine in worker_machines(management):
        if HOOK in machine["metadata"].get("annotations", {}):
            hook(management, machine, None)


@pytest.mark.parametrize("verb", ["stop", "terminate"])
def test_a_run_that_is_stopped_never_succeeds(management: Management, rolling: str, verb: str) -> None:
    run = management.submit(rolling, "--scope", "workers")
    run.pod("workers")
    management.run("argo", verb, "-n", "argo", run.name)
    assert run.ended().phase in ("Failed", "Error")
