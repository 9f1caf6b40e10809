"""Level api: etcd, kube-apiserver, kube-controller-manager (default service accounts, garbage collection)."""

import shutil
import subprocess

from ci.cluster import kube
from ci.cluster.processes import Program, run, start
from ci.cluster.settings import BIN, HERE, NODE, PKI, SERVICE_CIDR, STATE, node_ip

ETCD = "http://127.0.0.1:12379"
ETCD_PEER = "http://127.0.0.1:12380"


def etcd() -> Program:
    flags = f"""--name local --data-dir {STATE / "etcd"} --unsafe-no-fsync --log-level warn
        --listen-client-urls {ETCD} --advertise-client-urls {ETCD}
        --listen-peer-urls {ETCD_PEER} --initial-advertise-peer-urls {ETCD_PEER} --initial-cluster local={ETCD_PEER}"""
    return Program("etcd", (str(BIN / "etcd"), *flags.split()), lambda: kube.http_ok(f"{ETCD}/health"))


def apiserver() -> Program:
    # Pods reach the server at the node's address, so it listens on all; every caller needs a certificate or a token.
    flags = f"""--etcd-servers={ETCD} --bind-address=0.0.0.0 --secure-port=6443 --advertise-address={node_ip()}
        --tls-cert-file={PKI}/apiserver.crt --tls-private-key-file={PKI}/apiserver.key --client-ca-file={PKI}/ca.crt
        --kubelet-client-certificate={PKI}/apiserver-kubelet-client.crt
        --kubelet-client-key={PKI}/apiserver-kubelet-client.key
        --kubelet-certificate-authority={PKI}/ca.crt --kubelet-preferred-address-types=InternalIP,Hostname
        --service-account-issuer=https://kubernetes.default.svc.cluster.local
        --service-account-key-file={PKI}/sa.pub --service-account-signing-key-file={PKI}/sa.key
        --service-cluster-ip-range={SERVICE_CIDR} --authorization-mode=Node,RBAC
        --enable-admission-plugins=NodeRestriction --allow-privileged=true --profiling=false --v=1"""
    argv = (str(BIN / "kube-apiserver"), *flags.split())
    return Program("kube-apiserver", argv, lambda: kube.exists("/readyz"), files=(PKI / "apiserver.crt",))


def controller_manager() -> Program:
    kubeconfig = PKI / "controller-manager.kubeconfig"
    flags = f"""--kubeconfig={kubeconfig} --authentication-kubeconfig={kubeconfig}
        --authorization-kubeconfig={kubeconfig} --bind-address=127.0.0.1 --leader-elect=false
        --use-service-account-credentials=true --service-account-private-key-file={PKI}/sa.key
        --root-ca-file={PKI}/ca.crt --v=1"""
    argv = (str(BIN / "kube-controller-manager"), *flags.split())
    return Program("kube-controller-manager", argv, default_namespace_usable)


def default_namespace_usable() -> bool:
    core = "/api/v1/namespaces/default"
    return kube.exists(f"{core}/serviceaccounts/default") and kube.exists(f"{core}/configmaps/kube-root-ca.crt")


def prepare(*, fresh: bool) -> None:
    """Certificates for this machine's address; `fresh` removes what an earlier cluster left in etcd."""
    if fresh:
        shutil.rmtree(STATE / "etcd", ignore_errors=True)
    subprocess.run([HERE / "pki.sh", PKI, node_ip(), NODE], check=True)


def programs() -> tuple[Program, ...]:
    return etcd(), apiserver(), controller_manager()


def up() -> None:
    """Returns when the API answers; service accounts may still be on their way, see `programs`."""
    run(etcd())
    run(apiserver())
    start(controller_manager())
