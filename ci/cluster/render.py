"""Published manifests of Argo and the Cluster API providers, turned into what controllers run as processes need.

Rendering a provider takes seconds of YAML, so the result is kept in the cache per version; only the certificate
authority, which is new on every machine, is filled in at use.
"""

import json
import re
import subprocess
from collections.abc import Callable, Iterable
from typing import Any

import yaml

from ci.cluster.settings import BIN, CACHE, PKI, ClusterError

Object = dict[str, Any]

DROPPED = {"Deployment", "Service", "Certificate", "Issuer", "PriorityClass"}
"""Kinds that only make sense for controllers in pods behind cert-manager."""
WEBHOOKS = {"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}
NAMESPACED = {"ServiceAccount", "Role", "RoleBinding", "ConfigMap", "Secret"}
CA = "@CA-BUNDLE@"


def module_folder(module: str, version: str) -> str:
    """Folder of a Go module in the module cache; fetched when it is not there."""
    command = ["go", "mod", "download", "-json", f"{module}@{version}"]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{module}@{version}: {done.stderr.strip() or done.stdout.strip()}; does `go version` work?")
    return str(json.loads(done.stdout)["Dir"])


def kustomize(folder: str) -> list[Object]:
    """The objects of a kustomization of a module, with clusterctl's ${VAR:=default} filled in."""
    command = [str(BIN / "kubectl"), "kustomize", "--load-restrictor", "LoadRestrictionsNone", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"kubectl kustomize {folder}: {done.stderr.strip()}")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [each for each in yaml.load_all(with_defaults(done.stdout), Loader=loader) if each]


def with_defaults(text: str) -> str:
    return re.sub(r"\$\{[A-Za-z_][A-Za-z0-9_]*:?[=-]([^}]*)\}", lambda match: match.group(1), text)


def cached(name: str, make: Callable[[], Iterable[Object]]) -> list[Object]:
    """The objects kept under this name, made on first use. The name carries the version."""
    path = CACHE / "manifests" / f"{name}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(list(make())))
        draft.rename(path)
    ca = subprocess.run(["base64", "-w0", PKI / "ca.crt"], capture_output=True, text=True, check=True).stdout
    objects: list[Object] = json.loads(path.read_text().replace(CA, ca))
    return objects


def as_list(objects: Iterable[Object]) -> str:
    """One List document for kubectl."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


def in_namespace(objects: Iterable[Object], namespace: str) -> Iterable[Object]:
    """Put namespaced objects, and the service accounts that bindings name, into a namespace."""
    for each in objects:
        if each["kind"] in NAMESPACED:
            each["metadata"]["namespace"] = namespace
        for subject in each.get("subjects") or []:
            if subject["kind"] == "ServiceAccount":
                subject.setdefault("namespace", namespace)
        yield each


def for_local_manager(objects: Iterable[Object], webhook_url: str) -> Iterable[Object]:
    """A provider whose manager runs as a process: no Deployment, and webhooks by URL instead of by Service."""
    for each in objects:
        if each["kind"] in DROPPED:
            continue
        annotations = each["metadata"].get("annotations") or {}
        for key in [key for key in annotations if key.startswith("cert-manager.io/")]:
            del annotations[key]
        if each["kind"] in WEBHOOKS:
            for hook in each.get("webhooks") or []:
                by_url(hook["clientConfig"], webhook_url)
        if each["kind"] == "CustomResourceDefinition":
            webhook = (each["spec"].get("conversion") or {}).get("webhook")
            if webhook:
                by_url(webhook["clientConfig"], webhook_url)
        yield each


def by_url(client: Object, url: str) -> None:
    service = client.pop("service", None)
    if service:
        client["url"] = url + service.get("path", "/")
        client["caBundle"] = CA
