"""The Q-rules: whether etcd keeps its quorum when one control-plane machine is rebooted or deleted.

Proven from the members' own lists, through the machines other than the target: Cluster API's condition
EtcdClusterHealthyCondition is False *because of* the stuck machine, for ever. Anything unknown is unsafe.
"""

from collections.abc import Iterator, Mapping, Sequence

from guards.core.evidence import EtcdView, Member, Silent
from guards.core.model import Machine
from guards.core.verdict import Finding


def quorum(voters: int) -> int:
    """How many of so many voting members must agree."""
    return voters // 2 + 1


def why_not_reboot(target: Machine, others: Sequence[Machine], etcd: Mapping[str, EtcdView | Silent]) -> list[Finding]:
    """Everything that forbids to reboot `target`; empty = etcd keeps its quorum. `others`: all other machines."""
    return _judge(target, others, etcd, leaves=False)


def why_not_delete(target: Machine, others: Sequence[Machine], etcd: Mapping[str, EtcdView | Silent]) -> list[Finding]:
    """The same for a delete, after which the provider removes the member: the smaller etcd must have a quorum too."""
    return _judge(target, others, etcd, leaves=True)


def is_member(target: Machine, others: Sequence[Machine], etcd: Mapping[str, EtcdView | Silent]) -> bool | None:
    """Whether etcd lists the target; None when the members' lists do not prove it either way."""
    views = [view for m in others if isinstance(view := etcd.get(m.uid), EtcdView)]
    if len(views) != len(others) or not views or _unfit(others, etcd):
        return None
    members = views[0].members
    strangers = [m for m in members if not any(_is(machine, m) for machine in others)]
    if not strangers:
        return False
    return True if len(strangers) == 1 and _is(target, strangers[0]) else None


def _judge(
    target: Machine, others: Sequence[Machine], etcd: Mapping[str, EtcdView | Silent], *, leaves: bool
) -> list[Finding]:
    if not others:
        return [Finding("Q-others", f"etcd: there is no other control-plane machine than {target.name} to ask")]
    unfit = _unfit(others, etcd)
    if unfit:
        return unfit
    member = is_member(target, others, etcd)
    if member is None:
        return [_unmatched(target, others, etcd)]
    return list(_losable(target, len(others), member=member, leaves=leaves))


def _losable(target: Machine, healthy: int, *, member: bool, leaves: bool) -> Iterator[Finding]:
    """All others are healthy voters: H without the target is `healthy`, V is that plus the target if it is a member."""
    voters = healthy + member
    if member and (voters < 3 or healthy < quorum(voters)):
        yield Finding("Q-voters", f"etcd has {voters} voting members: without {target.name} there is no quorum")
    elif not member and voters < 2:
        yield Finding("Q-voters", f"etcd has {voters} voting member, 2 needed while {target.name} is away")
    elif leaves:
        assert healthy >= quorum(voters - member), "fewer members never need more votes than they are"


def _unfit(others: Sequence[Machine], etcd: Mapping[str, EtcdView | Silent]) -> list[Finding]:
    """What keeps the others from being a proof: each of them must be a healthy voter, and all must tell the same."""
    found = [finding for machine in others for finding in _unhealthy(machine, etcd.get(machine.uid))]
    views = [view for m in others if isinstance(view := etcd.get(m.uid), EtcdView)]
    if views and len({view.members for view in views}) > 1:
        found.append(Finding("Q-lists", f"etcd: the members of {_names(others)} tell different member lists"))
    if len({view.member_id for view in views}) < len(views):
        found.append(Finding("Q-unmatched", f"etcd: two of {_names(others)} are the same member"))
    if views and len({view.leader for view in views}) > 1:
        found.append(Finding("Q-leader", f"etcd: the members of {_names(others)} follow different leaders"))
    return found


def _unhealthy(machine: Machine, view: EtcdView | Silent | None) -> Iterator[Finding]:
    who = f"etcd on {machine.name}"
    if view is None or isinstance(view, Silent):
        yield Finding("Q-silent", f"{who} does not answer: {view.text if view else 'it was not asked'}")
        return
    for member in view.members:
        if member.learner or not member.hostname:
            yield Finding("Q-learner", f"{who}: member {member.hostname or hex(member.id)} is no voting member yet")
    own = [member for member in view.members if member.id == view.member_id]
    if view.learner or not own or not _is(machine, own[0]):
        yield Finding("Q-member", f"{who}: it is not a voting member under the name of its node {machine.node or '?'}")
    if not view.leader or view.leader not in {member.id for member in view.members}:
        yield Finding("Q-leader", f"{who}: it knows of no leader")
    for what in (*view.alarms, *view.errors):
        yield Finding("Q-alarm", f"{who}: {what}")


def _unmatched(target: Machine, others: Sequence[Machine], etcd: Mapping[str, EtcdView | Silent]) -> Finding:
    view = etcd[others[0].uid]
    assert isinstance(view, EtcdView)
    unknown = [m.hostname for m in view.members if not any(_is(machine, m) for machine in others)]
    return Finding(
        "Q-unmatched",
        f"etcd: {', '.join(unknown)} cannot be matched to {target.name} (node {target.node or 'none yet'}) alone",
    )


def _is(machine: Machine, member: Member) -> bool:
    return same_host(machine.node, member.hostname)


def same_host(node: str, hostname: str) -> bool:
    """Whether a Node's name and a host name mean the same machine: a FQDN equals its first label."""
    one, other = node.lower(), hostname.lower()
    if not one or not other:
        return False
    return one == other or one.split(".")[0] == other or one == other.split(".")[0]


def _names(machines: Sequence[Machine]) -> str:
    return ", ".join(machine.name for machine in machines)
