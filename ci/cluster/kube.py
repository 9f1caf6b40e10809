"""Talking to the cluster's API: quick looks over HTTPS with the admin certificate, everything else through kubectl."""

import json
import ssl
import subprocess
import urllib.error
import urllib.request
from typing import Any

from ci.cluster.settings import BIN, PKI, ClusterError, environment

SERVER = "https://127.0.0.1:6443"


def get(path: str) -> Any:
    """GET a path of the API as JSON. OSError (urllib's errors are ones) when it is not there or does not answer."""
    context = ssl.create_default_context(cafile=str(PKI / "ca.crt"))
    context.load_cert_chain(PKI / "admin.crt", PKI / "admin.key")
    with urllib.request.urlopen(SERVER + path, context=context, timeout=10) as answer:  # noqa: S310  fixed https
        return json.load(answer)


def exists(path: str) -> bool:
    """Whether the API answers this path now. For waiting only: a refusal and an absence look the same here."""
    try:
        get(path)
    except json.JSONDecodeError:  # health endpoints answer plain "ok"
        return True
    except OSError:
        return False
    return True


def http_ok(url: str) -> bool:
    """Whether a health endpoint on this machine answers with success; its certificate may be self-signed."""
    unverified = ssl._create_unverified_context()  # noqa: S323  loopback, nothing is sent
    try:
        with urllib.request.urlopen(url, timeout=2, context=unverified) as answer:  # noqa: S310  fixed loopback URLs
            return bool(answer.status == 200)
    except OSError:
        return False


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    """Standard output of one kubectl call against this cluster. ClusterError with its standard error on failure."""
    command = [str(BIN / "kubectl"), *arguments]
    done = subprocess.run(command, input=stdin, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def apply(manifest: str) -> None:
    """Server-side apply of YAML or JSON documents; we own every field we write."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest)
