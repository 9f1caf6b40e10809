"""Runs that may act: the template exported with remediation enabled, and machines that get stuck in their birth."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import yaml

from tests.cluster.credentials import talosconfig
from tests.cluster.management import Management, Object, Run, is_ready, newer, roll, wait_for
from workflows.export import export
from workflows.site import load

SITE = Path(__file__).with_name("remediation.yaml")
TEMPLATE = "capi-rollout-remediating"
SECRET = "capi-rollout-talos"
QUICK = ("--stuck-after", "60s", "--poll-interval", "10s", "--workers-timeout", "15m", "--control-plane-timeout", "15m")
"""In-memory machines are there in seconds: one that is not after a minute is stuck."""
CONTROL_PLANE = "cluster.x-k8s.io/control-plane"


def install(management: Management, folder: Path) -> None:
    """Export with remediation enabled, apply permissions and template; nothing differs but the template's name."""
    export(load(SITE), folder)
    overlay = folder / "overlay/management"
    management.apply((overlay / "capi-rollout/rbac.yaml").read_text())
    template: Object = yaml.safe_load(management.built(overlay / "argo-workflows"))
    template["metadata"]["name"] = TEMPLATE
    management.apply(json.dumps(template))
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET, "namespace": "argo"}}
    management.apply(json.dumps(secret))


def variant(management: Management, name: str, **environment: str) -> str:
    """The template once more, its steps with these variables instead of their own; the name it was applied under."""
    template = management.get("workflowtemplate", TEMPLATE, "argo")
    kept = {key: template["metadata"][key] for key in ("namespace", "labels")}
    template["metadata"] = kept | {"name": f"{TEMPLATE}-{name}"}
    for step in template["spec"]["templates"]:
        if "script" in step:
            others = [row for row in step["script"].get("env", []) if row["name"] not in environment]
            step["script"]["env"] = others + [{"name": key, "value": value} for key, value in environment.items()]
    management.apply(json.dumps(template))
    return f"{TEMPLATE}-{name}"


def give_credential(management: Management, cluster: str) -> None:
    """The key of this cluster in the Secret that the steps mount."""
    change = {"stringData": {f"default.{cluster}": talosconfig(management, cluster)}}
    management.patch("secret", SECRET, change, "argo")


def begin(management: Management, cluster: str, *flags: str, template: str = TEMPLATE) -> Run:
    """Start a run that may act, with what `python -m workflows submit` would send."""
    where = ("--site", str(SITE), "--cluster", cluster, "--cluster-namespace", "default")
    done = management.workflows("submit", *where, "--dry-run", "client", "-o", "json", *QUICK, *flags)
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)
    body["spec"]["workflowTemplateRef"]["name"] = template
    created = management.kubectl("create", "-f", "-", "-o", "name", stdin=json.dumps(body))
    return Run(management, created.strip().split("/")[-1])


def machines(management: Management, cluster: str, scope: str) -> list[Object]:
    """Machines of one scope of a lab."""
    found = management.list("machines", labels=f"cluster.x-k8s.io/cluster-name={cluster}")
    return [one for one in found if (CONTROL_PLANE in one["metadata"]["labels"]) == (scope == "control-plane")]


def annotate(management: Management, machine: str, **faults: str | None) -> None:
    """Set faults of talos-lab on a Machine (`node="hung"`), or take them away (None)."""
    change = {"metadata": {"annotations": {f"lab.talos/{key}": value for key, value in faults.items()}}}
    management.patch("machines", machine, change)


def roll_into_a_fault(management: Management, cluster: str, scope: str, **faults: str) -> str:
    """Roll one scope; the first new machine is born with these faults of talos-lab (`node="hung"`). Its name."""
    births = {"metadata": {"annotations": {"lab.talos/births": json.dumps({scope: [faults]})}}}
    management.patch("clusters", cluster, births)
    known = {one["metadata"]["uid"] for one in machines(management, cluster, scope)}
    whole = {"control_plane": scope == "control-plane", "workers": scope == "workers"}
    roll(management, cluster, newer(management, cluster), **whole)

    def born() -> str | None:
        new = [one for one in machines(management, cluster, scope) if one["metadata"]["uid"] not in known]
        return str(new[0]["metadata"]["name"]) if new else None

    return str(wait_for(f"a new machine of {cluster}, {scope}", born, 120, 1))


def reboots(management: Management, machine: str) -> int:
    """How many calls for a reboot have reached this machine."""
    return reboots_of(management.get("machine", machine))


def reboots_of(machine: Object) -> int:
    return int(machine["metadata"].get("annotations", {}).get("lab.talos/reboot-calls", "0"))


def wait_for_line(who: str, read: Callable[[], str], words: tuple[str, ...], seconds: float) -> str:
    """Wait until one line of what is read holds all these words; that line."""

    def line() -> str | None:
        return next((row for row in read().splitlines() if all(word in row for word in words)), None)

    return str(wait_for(f"{who} to say {words}", line, seconds, 4))


def wait_for_word(management: Management, run: Run, step: str, *words: str) -> str:
    """The first line of the living pod of this step that holds all these words; waits for it."""

    def said() -> str:
        return management.kubectl("-n", "argo", "logs", run.pod(step), "-c", "main")

    return wait_for_line(f"{run.name}, step {step},", said, words, 180)


def settle(management: Management, cluster: str) -> None:
    """Wait until the whole lab is rolled and every machine is Ready. Asks seldom: many labs are waited for at once."""

    def ready() -> bool:
        found = management.list("machines", labels=f"cluster.x-k8s.io/cluster-name={cluster}")
        return len(found) == 6 and all(is_ready(one) and "deletionTimestamp" not in one["metadata"] for one in found)

    def converged() -> bool:
        return ready() and "converged" in management.guards("preflight", "--cluster-name", cluster).stdout

    wait_for(f"{cluster} to be whole", converged, 400, 5)


@contextmanager
def note(management: Management, kind: str, name: str, **notes: str) -> Iterator[None]:
    """Annotations while the block runs."""
    management.patch(kind, name, {"metadata": {"annotations": notes}})
    try:
        yield
    finally:
        management.patch(kind, name, {"metadata": {"annotations": dict.fromkeys(notes)}})


def fault(management: Management, machine: str, **faults: str) -> AbstractContextManager[None]:
    """Faults of talos-lab on this Machine while the block runs."""
    return note(management, "machine", machine, **{f"lab.talos/{key}": value for key, value in faults.items()})
