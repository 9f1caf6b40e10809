"""Level argo: the scheduler, Argo's full CRDs and RBAC, and the workflow-controller with its own service account."""

import json

from ci.cluster import kube, render
from ci.cluster.processes import Program, run, start
from ci.cluster.settings import ARGO_NAMESPACE, BIN, PKI, pins

MODULE = "github.com/argoproj/argo-workflows/v3"
RBAC = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
EXECUTOR_RIGHTS = [{"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}]


def executor_image() -> str:
    return f"localhost/argoexec:{pins()['ARGO_WF_VERSION']}"


def scheduler() -> Program:
    kubeconfig = PKI / "scheduler.kubeconfig"
    flags = f"""--kubeconfig={kubeconfig} --authentication-kubeconfig={kubeconfig}
        --authorization-kubeconfig={kubeconfig} --bind-address=127.0.0.1 --leader-elect=false --v=1"""
    argv = (str(BIN / "kube-scheduler"), *flags.split())
    return Program("kube-scheduler", argv, lambda: kube.http_ok("https://127.0.0.1:10259/readyz"))


def controller() -> Program:
    flags = f"""--kubeconfig {PKI / "argo.kubeconfig"} --namespace {ARGO_NAMESPACE} --executor-image {executor_image()}
        --executor-image-pull-policy IfNotPresent --loglevel info"""
    argv = (str(BIN / "workflow-controller"), *flags.split())
    # One controller needs no election. Timings stay Argo's defaults: tests see what people see.
    env = {"LEADER_ELECTION_DISABLE": "true"}
    return Program("workflow-controller", argv, lambda: kube.http_ok("http://127.0.0.1:6060/healthz"), env=env)


def manifests(folder: str) -> list[render.Object]:
    """A kustomization of the release."""
    return render.kustomize(f"{render.module_folder(MODULE, pins()['ARGO_WF_VERSION'])}/manifests/{folder}")


def crds() -> list[render.Object]:
    return render.cached(f"argo-{pins()['ARGO_WF_VERSION']}-crds", lambda: manifests("base/crds/full"))


def rbac() -> list[render.Object]:
    def make() -> list[render.Object]:
        kept = [each for each in manifests("cluster-install-no-crds") if each["kind"] in RBAC]
        return list(render.in_namespace(kept, ARGO_NAMESPACE))

    return render.cached(f"argo-{pins()['ARGO_WF_VERSION']}-rbac", make)


def settings() -> list[render.Object]:
    """The controller's configuration, and the right of hand-written test Workflows (service account `default`) to
    report results. The exported overlay brings its own service accounts and Roles."""
    here = {"namespace": ARGO_NAMESPACE}
    data = {
        "metricsConfig": "enabled: false\n",
        "telemetryConfig": "enabled: false\n",
        "executor": "imagePullPolicy: IfNotPresent\nresources: {requests: {cpu: 10m, memory: 32Mi}}\n",
    }
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "executor"}
    rights = "rbac.authorization.k8s.io/v1"
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "workflow-controller-configmap", **here},
            "data": data,
        },
        {"apiVersion": rights, "kind": "Role", "metadata": {"name": "executor", **here}, "rules": EXECUTOR_RIGHTS},
        {
            "apiVersion": rights,
            "kind": "RoleBinding",
            "metadata": {"name": "executor", **here},
            "roleRef": role,
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": ARGO_NAMESPACE}],
        },
    ]


def write_kubeconfig() -> None:
    """A kubeconfig that holds a token of Argo's own service account: the controller runs with Argo's RBAC."""
    path = PKI / "argo.kubeconfig"
    token = kube.kubectl("-n", ARGO_NAMESPACE, "create", "token", "argo", "--duration=24h").strip()
    config = json.loads(kube.kubectl("config", "view", "--raw", "-o", "json"))
    config["users"] = [{"name": "argo", "user": {"token": token}}]
    config["contexts"][0]["context"] |= {"user": "argo", "namespace": ARGO_NAMESPACE}
    path.touch(mode=0o600)
    path.write_text(json.dumps(config))


def programs() -> tuple[Program, ...]:
    return scheduler(), controller()


def up() -> None:
    start(scheduler())
    kube.apply(render.as_list(crds()))
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ARGO_NAMESPACE}}
    kube.apply(render.as_list([namespace, *rbac(), *settings()]))
    write_kubeconfig()
    run(*programs())
