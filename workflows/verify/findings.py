"""What verify says: a finding per place that is wrong, and the catalogue of rules."""

from dataclasses import dataclass
from enum import StrEnum
from shlex import quote

from workflows.verify.located import Place
from workflows.verify.objects import Object


class Level(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    """Cannot be seen from here, or wrong only under circumstances; does not change the exit code."""


@dataclass(frozen=True, slots=True)
class Finding:
    rule: str
    level: Level
    place: Place
    object: str
    """`Kind namespace/name`, or the file itself."""
    text: str
    """What was seen and what was expected."""
    next: str
    """A command to type."""

    @property
    def sentence(self) -> str:
        return self.text if self.text.startswith(self.object) else f"{self.object}: {self.text}"


def finding(
    rule: str, what: Object | str, place: Place, text: str, *, next: str = "", level: Level = Level.ERROR
) -> Finding:
    """Without a `next` of its own: open the file at the line."""
    command = next or f"${{EDITOR:-vi}} +{place.line} {quote(place.path)}"
    return Finding(rule, level, place, str(what), text, command)


def verify_what(prints: str) -> str:
    """A command: verify the objects that this command prints, where verify itself cannot follow them."""
    return f"mkdir -p built && {prints} > built/all.yaml && python -m workflows verify built"


RULES = {
    "not-yaml": "every YAML file can be read; no key is given twice",
    "build": "every kustomization can be built: the files it lists exist, its patches fit",
    "unread": "nothing that verify cannot follow changes these objects (replacements, Flux patches, a ClusterClass)",
    "unlisted": "an object in a kustomized folder is listed by a kustomization, or nobody applies it",
    "malformed": "the fields that decide have the type that Cluster API expects",
    "waves": "applied in order: TalosConfigTemplate, then MachineDeployment, then TalosControlPlane",
    "health-override": "applying the TalosControlPlane does not wait for the health of a MachineDeployment",
    "strategy": "rollout strategy is RollingUpdate, not OnDelete",
    "max-surge": "maxSurge is 0: there is no spare machine",
    "max-unavailable": "MachineDeployment: maxUnavailable is 1 after resolving it against replicas",
    "control-plane-size": "TalosControlPlane: 3 replicas or more",
    "reference": "templates, Cluster and control plane that are referred to exist",
    "immutable": "TalosConfigTemplates and machine templates change their name with their content (against git)",
    "parallel-deployments": "one commit changes the machines of at most one MachineDeployment (against git)",
    "lock": "the WorkflowTemplate takes one lock per cluster, in `mutexes`",
    "md-upsert": "a change of a MachineDeployment starts no run by itself",
    "plaintext-secret": "no Secret is in git unencrypted",
    "secret-build": "every encrypted Secret reaches the cluster, decrypted",
    "namespace": "no `namespace:` of a build moves an object out of the namespace it names",
}
"""Rule -> what must hold."""
