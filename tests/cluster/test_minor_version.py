"""One commit that raises the Kubernetes minor version of both pools, applied wave by wave as Argo CD would.

Wave -1 alone leaves the cluster one worker short, and nothing moves until wave 0 follows: Argo CD's own health check
says Progressing for as long as that lasts, so wave 0 would never come. CAPI_ROLLOUT_RECORD=1 keeps the objects of that
moment for the fast tests (tests/authoring/recorded).
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import gmtime, strftime

import pytest

from ci.cluster.record import cleaned
from ci.cluster.settings import pins
from tests.authoring.lua import health
from tests.cluster.management import ROOT, Management, Object, Recording, is_ready, recording, roll, wait_for
from workflows.argocd import MACHINE_DEPLOYMENT_HEALTH, TALOS_CONTROL_PLANE_HEALTH

pytestmark = pytest.mark.cluster("capi")

MINOR = "v1.36.0"
"""The labs are born with v1.35.0."""
RECORDED = ROOT / "tests/authoring/recorded/minor-version.json"


@dataclass(frozen=True)
class Story:
    """What was seen, in the order of the waves."""

    deployment: Object
    """The MachineDeployment while its worker is held back."""
    looks: list[frozenset[str]]
    """UIDs of all Machines, once a second from then on, before wave 0 followed."""
    after: Object
    """The MachineDeployment when everything was done."""
    control_plane: Object
    pairs: Recording


def story(management: Management, lab: str) -> Story:
    """Wave -1, half a minute in which nobody does anything, wave 0, and the end."""
    looks: list[frozenset[str]] = []
    with recording(management, lab) as seen:
        roll(management, lab, MINOR, control_plane=False)
        stuck = wait_for("a worker that is gone and not replaced", lambda: held_back(management, lab), 120)
        wait_for("30 looks", lambda: len(looks.append(machines(management, lab)) or looks) >= 30, 120)
        roll(management, lab, MINOR, workers=False)
        wait_for("six Ready machines of the new version", lambda: converged(management, lab), 400, 2)
        wait_for("a Healthy control plane", lambda: healthy(control_plane(management, lab)), 180, 2)
    if os.environ.get("CAPI_ROLLOUT_RECORD") == "1":
        record(stuck)
    return Story(stuck["machineDeployment"], looks, deployment(management, lab), control_plane(management, lab), seen)


@pytest.fixture(scope="module")
def argo_cds_own(go_module: Callable[[str], Path]) -> str:
    """Argo CD's check of a MachineDeployment, from the module cache."""
    module = go_module(f"github.com/argoproj/argo-cd/v3@{pins()['ARGO_CD_VERSION']}")
    return (module / "resource_customizations/cluster.x-k8s.io/MachineDeployment/health.lua").read_text()


def deployment(management: Management, lab: str) -> Object:
    return management.get("machinedeployments", f"{lab}-workers")


def control_plane(management: Management, lab: str) -> Object:
    return management.get("taloscontrolplanes", f"{lab}-cp")


def healthy(control_plane: Object) -> bool:
    return health(TALOS_CONTROL_PLANE_HEALTH, control_plane)[0] == "Healthy"


def held_back(management: Management, lab: str) -> dict[str, Object] | None:
    """The MachineDeployment, and its MachineSet whose next Machine is not created for the version skew."""
    found = deployment(management, lab)
    sets = management.list("machinesets", labels=f"cluster.x-k8s.io/deployment-name={lab}-workers")
    holding = [each for each in sets if "KubernetesVersionSkew" in json.dumps(each.get("status"))]
    gone = found["status"].get("replicas") == 2 and len(machines(management, lab)) == 5
    return {"machineDeployment": found, "machineSet": holding[0]} if gone and holding else None


def machines(management: Management, lab: str) -> frozenset[str]:
    found = management.list("machines", labels=f"cluster.x-k8s.io/cluster-name={lab}")
    return frozenset(each["metadata"]["uid"] for each in found)


def converged(management: Management, lab: str) -> bool:
    found = management.list("machines", labels=f"cluster.x-k8s.io/cluster-name={lab}")
    return len(found) == 6 and all(each["spec"]["version"] == MINOR and is_ready(each) for each in found)


def record(seen: dict[str, Object]) -> None:
    versions = {"kubernetes": pins()["K8S_VERSION"], "cluster-api": pins()["CAPI_VERSION"]}
    about = {
        "by": "CAPI_ROLLOUT_RECORD=1 scripts/test --cluster tests/cluster/test_minor_version.py",
        "at": strftime("%Y-%m-%dT%H:%M:%SZ", gmtime()),
        "versions": versions,
    }
    RECORDED.parent.mkdir(exist_ok=True)
    objects = {name: cleaned(json.loads(json.dumps(each))) for name, each in seen.items()}
    RECORDED.write_text(json.dumps({"recorded": about} | objects, indent=1) + "\n")


@pytest.mark.plays.with_args(story)
def test_argo_cds_own_check_holds_wave_0_back_and_ours_does_not(played: Story, argo_cds_own: str) -> None:
    assert health(argo_cds_own, played.deployment)[0] == "Progressing"
    assert health(MACHINE_DEPLOYMENT_HEALTH, played.deployment)[0] == "Healthy"


@pytest.mark.plays.with_args(story)
def test_nothing_moves_until_wave_0_follows(played: Story) -> None:
    """Cluster API's controllers were free to act all the time."""
    assert len(played.looks) == 30
    assert len(set(played.looks)) == 1
    assert len(played.looks[0]) == 5


@pytest.mark.plays.with_args(story)
def test_when_wave_0_follows_everything_converges_one_machine_at_a_time(played: Story, argo_cds_own: str) -> None:
    for scope in ("control-plane", "workers"):
        assert played.pairs.worst(scope) == (1, 1), played.pairs.pairs[scope]
    assert len(played.pairs.seen) == 12, "six old UIDs, six new ones"
    assert healthy(played.control_plane)
    for check in (MACHINE_DEPLOYMENT_HEALTH, argo_cds_own):
        assert health(check, played.after)[0] == "Healthy"
