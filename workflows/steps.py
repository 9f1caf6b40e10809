"""One workflow step is one sentence: `python -m guards VERB`, its parameters as data.

Argo writes `source` to a file and hands its path to the command: a JSON list of name and value, so that no parameter
is ever pasted into a program or a command line.
"""

from typing import Any

from hera.workflows import EmptyDirVolume, Resources, RetryStrategy, Script, SecretVolume, models
from hera.workflows.env import FieldEnv
from hera.workflows.parameter import Parameter
from hera.workflows.script import ScriptConstructor

from guards.exits import RETRIED
from guards.naming import TALOS_FOLDER
from guards.parameters import ASKED, CONTRACT, ENV_PREFIX, KNOBS
from workflows.manifests import REMEDIATOR
from workflows.site import Site

OUTPUTS = "/tmp/outputs"  # noqa: S108 - in the pod, an emptyDir
OWN = {
    "contract": CONTRACT,
    "workflowName": "{{workflow.name}}",
    "workflowNamespace": "{{workflow.namespace}}",
    "workflowUid": "{{workflow.uid}}",
}
"""Knobs that the template fills in itself; the node's name comes from the downward API."""

_AGAIN = ", ".join(str(int(code)) for code in RETRIED)

RETRY = RetryStrategy(
    limit="50",  # without a limit Argo ignores the backoff
    retry_policy="Always",
    expression=f"lastRetry.status == 'Error' || asInt(lastRetry.exitCode) in [{_AGAIN}]",
    backoff=models.Backoff(duration="5s", factor=models.IntOrString(root="2"), cap="2m"),
)
"""Lost pods and interrupted steps start again; what a guard decided is never asked twice."""


class _Verb(ScriptConstructor):
    """Runs a verb of `guards`; the image needs no Hera."""

    def generate_source(self, instance: Script) -> str:
        return "{{inputs.parameters}}"

    def transform_template_post_build(self, instance: Script, template: models.Template) -> models.Template:
        # The exit hook would be shown as `<workflow>.onExit`. Hera's `annotations` are the pod's; Argo reads the
        # template's own. It turns the node into an error unless the name has 2 to 63 of [A-Za-z0-9.-].
        template.annotations = {"workflows.argoproj.io/display-name": str(instance.name)}
        return template


def step(site: Site, verb: str, *outputs: Parameter, acts: bool = False, retried: bool = True) -> Script:
    """The template of one verb. `acts`: gets the account and credentials of the remediation, where it is enabled."""
    remediates = acts and site.remediation.enabled
    return script(
        site,
        verb,
        inputs=_inputs(),
        outputs=list(outputs),
        volumes=[_tmp(), _talos(site)] if remediates else [_tmp()],
        service_account_name=REMEDIATOR if remediates else None,
        retry_strategy=RETRY if retried else None,
    )


def script(site: Site, verb: str, inputs: list[Parameter], **more: Any) -> Script:
    """`python -m guards VERB` in a container that may do nothing but that."""
    return Script(
        name=verb,
        constructor=_Verb(),
        command=["python", "-m", "guards", verb],
        inputs=inputs,
        image=site.image.reference,
        image_pull_policy="IfNotPresent",
        env=[FieldEnv(name=f"{ENV_PREFIX}NODE_NAME", field_path="spec.nodeName")],
        # No CPU limit: throttled, a step starts in seconds instead of half of one.
        resources=Resources(cpu_request="50m", memory_request="96Mi", memory_limit="256Mi"),
        security_context=models.SecurityContext(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities=models.Capabilities(drop=["ALL"]),
        ),
        **{"volumes": [_tmp()], **more},
    )


def pod() -> dict[str, Any]:
    """What all pods of a WorkflowTemplate of ours have in common: restricted, and early away from a lost node."""
    return {
        "security_context": models.PodSecurityContext(
            run_as_non_root=True,
            run_as_user=65532,  # for every container: argoexec's image names no user
            run_as_group=65532,
            fs_group=65532,
            seccomp_profile=models.SeccompProfile(type="RuntimeDefault"),
        ),
        # The steps run on machines of a cluster that may be rolling itself: leave a lost node early.
        "tolerations": [_leaves_early("not-ready"), _leaves_early("unreachable")],
        "pod_gc": models.PodGC(strategy="OnPodSuccess"),
    }


def _leaves_early(state: str) -> models.Toleration:
    key = f"node.kubernetes.io/{state}"
    return models.Toleration(key=key, operator="Exists", effect="NoExecute", toleration_seconds=30)


def _tmp() -> EmptyDirVolume:
    return EmptyDirVolume(name="tmp", mount_path="/tmp", size_limit=models.Quantity(root="64Mi"))  # noqa: S108 - in the pod


def output(name: str, default: str) -> Parameter:
    """A file the step writes; `default` where it did not come to that (Argo fails a reference without one)."""
    return Parameter(name=name, value_from=models.ValueFrom(path=f"{OUTPUTS}/{name}", default=default))


def summary() -> Parameter:
    return output("summary", "no summary: the step ended before it could write one")


def _inputs() -> list[Parameter]:
    """Every knob with its value, so that each template is safe as an entrypoint too."""
    asked = {knob.name: f"{{{{workflow.parameters.{knob.name}}}}}" for knob in ASKED}
    values = asked | OWN
    return [Parameter(name=knob.name, value=values[knob.name]) for knob in KNOBS if knob.name in values]


def _talos(site: Site) -> SecretVolume:
    """The credentials; optional, because a cluster without a key is only watched."""
    return SecretVolume(
        name="talos",
        mount_path=TALOS_FOLDER,
        read_only=True,
        secret_name=site.remediation.talos_secret,
        default_mode=0o440,
        optional=True,
    )
