"""Level events: Argo Events as it is released, its controller in a pod, and a NATS server as process for its EventBus.

The EventBus `default` points to that server: one of Argo Events' own needs images that only a registry has, and names
that only a cluster DNS resolves. What differs from the release: the image, its pull policy.
"""

from ci.cluster import kube, pods, render
from ci.cluster.images import IMAGES, single_program
from ci.cluster.processes import Program, run
from ci.cluster.settings import ARGO_NAMESPACE, BIN, PKI, STATE, node_ip, pins

MODULE = "github.com/argoproj/argo-events"
NAMESPACE = "argo-events"
NATS, MONITOR = 14222, 18222
"""Ports on this machine, not NATS' own ones, which somebody may use."""


def image() -> str:
    return f"localhost/argo-events:{pins()['ARGO_EVENTS_VERSION']}"


def nats() -> Program:
    # The JetStream client of Argo Events always speaks TLS, whoever the server is.
    flags = f"""--addr 0.0.0.0 --port {NATS} --http_port {MONITOR} --jetstream --store_dir {STATE / "nats"}
        --tls --tlscert {PKI / "nats.crt"} --tlskey {PKI / "nats.key"}"""
    argv = (str(BIN / "nats-server"), *flags.split())
    return Program("nats", argv, lambda: kube.http_ok(f"http://127.0.0.1:{MONITOR}/healthz"))


def bus() -> render.Object:
    stream = "maxMsgs: 5000\nmaxAge: 1h\nreplicas: 1\nduplicates: 60s\n"
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "EventBus",
        "metadata": {"name": "default", "namespace": ARGO_NAMESPACE},
        "spec": {"jetstreamExotic": {"url": f"nats://{node_ip()}:{NATS}", "streamConfig": stream}},
    }


def objects() -> list[render.Object]:
    """CRDs, RBAC, configuration and controller of the release, with our image."""

    def make() -> list[render.Object]:
        folder = render.module_folder(MODULE, pins()["ARGO_EVENTS_VERSION"])
        return render.kustomize(f"{folder}/manifests/cluster-install")

    found = render.cached(f"events-{pins()['ARGO_EVENTS_VERSION']}", make)
    for deployment in (each for each in found if each["kind"] == "Deployment"):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        container |= {"image": image(), "imagePullPolicy": "IfNotPresent"}
        others = [each for each in container["env"] if each["name"] != "ARGO_EVENTS_IMAGE"]
        own = {"ARGO_EVENTS_IMAGE": image(), "IMAGE_PULL_POLICY": "IfNotPresent"}
        container["env"] = others + [{"name": name, "value": value} for name, value in own.items()]
    return found


def import_image() -> None:
    archive = IMAGES / f"argo-events-{pins()['ARGO_EVENTS_VERSION']}.tar"
    if not archive.exists():
        single_program(archive, image(), "bin/argo-events", BIN / "argo-events", "argo-events")
    pods.import_images([archive])


def programs() -> tuple[Program, ...]:
    return (nats(),)


def up() -> None:
    import_image()
    run(*programs())
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    kube.apply(render.as_list([namespace, *objects()]))
    kube.kubectl("wait", "--for=condition=Established", "crd/eventbus.argoproj.io", "--timeout=60s")
    kube.apply(render.as_list([bus()]))
    kube.kubectl("-n", NAMESPACE, "rollout", "status", "deployment/controller-manager", "--timeout=180s")
    kube.kubectl("-n", ARGO_NAMESPACE, "wait", "--for=condition=Deployed", "eventbus/default", "--timeout=60s")
