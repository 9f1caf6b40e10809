"""Level capi: Cluster API with in-memory machines, the real Talos providers, and talos-lab that gives them Talos.

Every manager is a process with the admin certificate; its webhooks are reached by URL on the loopback address.
"""

from dataclasses import dataclass

from ci.cluster import host, kube, render
from ci.cluster.processes import Program, run
from ci.cluster.settings import BIN, LOGS, PKI, TALOS_SUBNET, pins

CAPI = "sigs.k8s.io/cluster-api"
SIDERO = "github.com/siderolabs/cluster-api"
GATES = "ClusterTopology=true,MachinePool=false"


@dataclass(frozen=True)
class Provider:
    """One manager: `folder` is the kustomization inside `module`; its three ports follow from `number`."""

    number: int
    name: str
    binary: str
    pin: str
    module: str
    folder: str
    gates: str = ""

    @property
    def webhook_port(self) -> int:
        return 9450 + self.number

    @property
    def health_port(self) -> int:
        return 9470 + self.number

    def objects(self) -> list[render.Object]:
        """CRDs, RBAC and webhook configurations; no Deployment."""

        def make() -> list[render.Object]:
            found = render.kustomize(
                f"{render.module_folder(self.module, pins()[self.pin])}/{self.folder}/config/default"
            )
            return list(render.for_local_manager(found, f"https://127.0.0.1:{self.webhook_port}"))

        return render.cached(f"{self.name}-{pins()[self.pin]}", make)

    def program(self) -> Program:
        flags = f"""--webhook-port {self.webhook_port} --webhook-cert-dir {PKI / "webhook"}
            --health-addr 127.0.0.1:{self.health_port} --diagnostics-address 127.0.0.1:{9490 + self.number}
            --insecure-diagnostics=true"""
        gates = ["--feature-gates", self.gates] if self.gates else []
        argv = (str(BIN / self.binary), *flags.split(), *gates)
        ready = lambda: kube.http_ok(f"http://127.0.0.1:{self.health_port}/readyz")  # noqa: E731
        # POD_IP: where the in-memory infrastructure serves its workload clusters (ports from 20000).
        return Program(self.name, argv, ready, env={"POD_IP": "127.0.0.1"}, files=(PKI / "webhook/tls.crt",))


PROVIDERS = (
    Provider(0, "core", "capi-core", "CAPI_VERSION", CAPI, "core", GATES),
    Provider(1, "cabpk", "capi-cabpk", "CAPI_VERSION", CAPI, "bootstrap/kubeadm", "MachinePool=false"),
    Provider(2, "kcp", "capi-kcp", "CAPI_VERSION", CAPI, "controlplane/kubeadm", "ClusterTopology=true"),
    Provider(3, "dev", "capi-dev-infra", "CAPI_VERSION", f"{CAPI}/test", "infrastructure/docker", GATES),
    Provider(4, "cabpt", "capi-cabpt", "CABPT_VERSION", f"{SIDERO}-bootstrap-provider-talos", "."),
    Provider(5, "cacppt", "capi-cacppt", "CACPPT_VERSION", f"{SIDERO}-control-plane-provider-talos", "."),
)


def talos_lab(flags: tuple[str, ...]) -> Program:
    argv = (str(BIN / "talos-lab"), "serve", "--subnet", TALOS_SUBNET, *flags)
    return Program("talos-lab", argv, lambda: b"\n" in (LOGS / "talos-lab.log").read_bytes())


def programs(talos_lab_flags: tuple[str, ...]) -> tuple[Program, ...]:
    return *(provider.program() for provider in PROVIDERS), talos_lab(talos_lab_flags)


def up(talos_lab_flags: tuple[str, ...]) -> None:
    host.add_talos_route()
    objects = [each for provider in PROVIDERS for each in provider.objects()]
    # A manager's cache needs the CRDs; its webhooks need the manager, or every write fails.
    kube.apply(render.as_list(each for each in objects if each["kind"] not in render.WEBHOOKS))
    kube.kubectl("wait", "crd", "--all", "--for=condition=Established", "--timeout=60s")
    run(*(provider.program() for provider in PROVIDERS))
    kube.apply(render.as_list(each for each in objects if each["kind"] in render.WEBHOOKS))
    run(talos_lab(talos_lab_flags))
