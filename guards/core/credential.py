"""Whether a talosconfig may be used: os:operator, valid for a while yet."""

from datetime import datetime, timedelta

from guards.core.evidence import Credential
from guards.durations import format_duration
from guards.parameters import Parameters

ADMIN, OPERATOR = "os:admin", "os:operator"
VALID_FOR = timedelta(minutes=10)
"""A credential that ends sooner is refused before it is needed, not in the middle of an act."""


def unusable(credential: Credential, now: datetime, parameters: Parameters) -> str:
    """Why it must not be used, and what to do; "" = it may."""
    roles = ", ".join(credential.roles) or "no role"
    if ADMIN in credential.roles and not parameters.allow_talos_admin:
        return (
            f"the Talos credential has {roles}: os:operator is enough (talosctl config new --roles {OPERATOR}), or "
            "submit with --allow-talos-admin"
        )
    if not {ADMIN, OPERATOR} & set(credential.roles):
        return f"the Talos credential has {roles}, a reboot needs {OPERATOR}: talosctl config new --roles {OPERATOR}"
    left = credential.not_after - now
    if left < VALID_FOR:
        ends = f"ends in {format_duration(left)}" if left > timedelta(0) else "has expired"
        return (
            f"the Talos credential {ends} ({credential.not_after:%Y-%m-%d %H:%M} UTC), {format_duration(VALID_FOR)} "
            f"needed: talosctl config new --roles {OPERATOR}"
        )
    return ""
