"""Talos credentials for the machines of a lab: minted from its Secret bundle, as `talosctl config new` mints them."""

import base64
from collections.abc import Iterable
from datetime import timedelta

import yaml

from tests.cluster.management import Management
from tests.talos import pki

DAY = timedelta(days=1)


def authority(management: Management, cluster: str, namespace: str = "default") -> pki.Authority:
    """The Talos authority ("os") of a lab, from the bundle in Secret `<cluster>-talos`."""
    data = management.get("secret", f"{cluster}-talos", namespace)["data"]
    own = yaml.safe_load(base64.b64decode(data["bundle"]))["certs"]["os"]
    return pki.Authority(pki.Pair(base64.b64decode(own["crt"]), base64.b64decode(own["key"])))


def talosconfig(
    management: Management,
    cluster: str,
    roles: Iterable[str] = ("os:operator",),
    lifetime: timedelta = DAY,
    namespace: str = "default",
) -> str:
    """A talosconfig with these roles that is valid for `lifetime` from now; a negative one has expired."""
    lab = authority(management, cluster, namespace)
    now = pki.now()
    return pki.talosconfig(lab, client=lab.client(roles, min(now, now + lifetime) - DAY, now + lifetime))
