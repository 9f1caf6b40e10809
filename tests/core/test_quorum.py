"""The Q-rules against an oracle that plays the loss and counts votes, and each doubt that forbids an act."""

from dataclasses import replace
from itertools import combinations_with_replacement, product

import pytest

from guards.core.evidence import EtcdView, Member, Silence, Silent
from guards.core.model import Machine
from guards.core.quorum import is_member, same_host, why_not_delete, why_not_reboot
from tests.core.builders import machine

STATES = ("healthy", "silent", "learner", "absent")
NOBODY = Silent(Silence.UNREACHABLE, "10.0.0.9: no answer")


def machines(count: int) -> list[Machine]:
    return [machine(f"cp-{number}", node=f"node-{number}") for number in range(count)]


def etcd(cps: list[Machine], states: tuple[str, ...]) -> dict[str, EtcdView | Silent]:
    """What each of them tells: the same list, without the absent ones."""
    members = tuple(
        Member(100 + n, cps[n].node, learner=state == "learner") for n, state in enumerate(states) if state != "absent"
    )
    leader = next(
        (m.id for m, s in zip(members, [s for s in states if s != "absent"], strict=True) if s == "healthy"), 0
    )
    told: dict[str, EtcdView | Silent] = {}
    for number, state in enumerate(states):
        view = EtcdView(100 + number, leader, state == "learner", (), (), members)
        told[cps[number].uid] = NOBODY if state in ("silent", "absent") else view
    return told


def survives(states: tuple[str, ...], *, deleted: bool) -> bool:
    """Play it: the first machine goes, then count the votes that are left. Says no whenever it cannot be counted."""
    target, others = states[0], states[1:]
    if "learner" in states or any(state != "healthy" for state in others):
        return False  # somebody else is not a healthy voter: that is the one to care for
    votes = len(others) + (target != "absent")
    alive = len(others)
    while_away = votes >= 2 and 2 * alive > votes
    after_removal = alive >= 1 and 2 * alive > len(others)
    return while_away and (after_removal or not deleted)


def judged(states: tuple[str, ...], *, deleted: bool) -> bool:
    cps = machines(len(states))
    why_not = why_not_delete if deleted else why_not_reboot
    return not why_not(cps[0], cps[1:], etcd(cps, states))


MULTISETS = [(target, *others) for target in STATES for others in combinations_with_replacement(STATES, 6)]
"""Of seven, where all orders would take seconds."""


@pytest.mark.parametrize("deleted", [False, True], ids=["reboot", "delete"])
@pytest.mark.parametrize("size", range(1, 8))
def test_every_etcd_of_one_to_seven_machines(size: int, deleted: bool) -> None:
    """All states of all machines; the target is the first, which of them it is means nothing."""
    cases = list(product(STATES, repeat=size)) if size < 7 else MULTISETS
    wrong = [states for states in cases if judged(states, deleted=deleted) != survives(states, deleted=deleted)]
    assert wrong == []
    assert any(judged(states, deleted=deleted) for states in cases) == (size >= 3)


SAFE: tuple[str, ...] = ("silent", "healthy", "healthy")


def doubts(*, node: str = "node-0", **view: object) -> set[str]:
    """Rules that speak against a delete of the first of three, after a change of the second one's view."""
    cps = machines(3)
    told = etcd(cps, SAFE)
    seen = told[cps[1].uid]
    assert isinstance(seen, EtcdView)
    told[cps[1].uid] = replace(seen, **view)  # type: ignore[arg-type]
    target = replace(cps[0], node=node)
    return {finding.rule for finding in why_not_delete(target, cps[1:], told)}


def members(*names: str) -> tuple[Member, ...]:
    return tuple(Member(100 + number, name, learner=False) for number, name in enumerate(names))


def test_the_case_they_all_start_from_is_safe() -> None:
    assert doubts() == set()


@pytest.mark.parametrize(
    ("rule", "view"),
    [
        ("Q-alarm", {"alarms": ("NOSPACE of member 101",)}),
        ("Q-alarm", {"errors": ("etcdserver: no leader",)}),
        ("Q-leader", {"leader": 0}),
        ("Q-leader", {"leader": 999}),
        ("Q-leader", {"leader": 100}),
        ("Q-learner", {"learner": True, "members": (*members("node-0", "node-1"), Member(102, "", learner=False))}),
        ("Q-lists", {"members": members("node-0", "node-1")}),
        ("Q-member", {"member_id": 999}),
        ("Q-member", {"member_id": 100}),
        ("Q-unmatched", {"member_id": 102}),
    ],
)
def test_a_doubt_in_one_view_forbids_it(rule: str, view: dict[str, object]) -> None:
    assert rule in doubts(**view)


def test_a_leader_that_is_no_member_leads_nobody() -> None:
    cps = machines(3)
    told = {uid: replace(view, leader=999) for uid, view in etcd(cps, SAFE).items() if isinstance(view, EtcdView)}
    assert {finding.rule for finding in why_not_reboot(cps[0], cps[1:], told)} == {"Q-leader"}


def test_a_target_without_a_node_is_safe_only_when_all_members_belong_to_others() -> None:
    assert doubts(node="") == {"Q-unmatched"}
    cps = machines(3)
    told = etcd(cps, ("absent", "healthy", "healthy"))
    assert why_not_delete(replace(cps[0], node=""), cps[1:], told) == []


def test_a_stale_member_is_nobody() -> None:
    """A member without a machine: the provider will remove it by force, one more loss nobody has counted."""
    cps = machines(3)
    stale = members("node-0", "node-1", "node-2", "node-9")
    told: dict[str, EtcdView | Silent] = {
        cps[n].uid: EtcdView(100 + n, 101, learner=False, errors=(), alarms=(), members=stale) for n in (1, 2)
    }
    assert {finding.rule for finding in why_not_reboot(cps[0], cps[1:], told)} == {"Q-unmatched"}
    assert is_member(cps[0], cps[1:], told) is None


def test_is_member_tells_absent_from_unknown() -> None:
    cps = machines(3)
    assert is_member(cps[0], cps[1:], etcd(cps, SAFE)) is True
    assert is_member(cps[0], cps[1:], etcd(cps, ("absent", "healthy", "healthy"))) is False
    assert is_member(cps[0], cps[1:], etcd(cps, ("absent", "healthy", "silent"))) is None


@pytest.mark.parametrize(
    ("node", "hostname", "same"),
    [
        ("a", "A", True),
        ("a.lan", "a", True),
        ("a", "a.lan", True),
        ("a.lan", "a.wan", False),
        ("", "", False),
        ("a", "", False),
        ("ab", "a", False),
    ],
)
def test_names_of_one_machine(node: str, hostname: str, same: bool) -> None:
    assert same_host(node, hostname) is same
