package main

import (
	"slices"
	"testing"
)

func three(t *testing.T) (*world, []*machine) {
	w := newWorld(t)
	return w, []*machine{w.machine("cp-1", true), w.machine("cp-2", true), w.machine("cp-3", true)}
}

func TestQuorumCountsVotersThatAreUp(t *testing.T) {
	w, ms := three(t)
	set := func(faults ...string) bool {
		for i, fault := range faults {
			ms[i].notes[prefix+"etcd"] = fault
		}
		return w.c.quorum()
	}
	for _, is := range []struct {
		faults []string
		quorum bool
	}{
		{[]string{"", "", ""}, true},
		{[]string{"unhealthy", "", ""}, true},
		{[]string{"unhealthy", "unhealthy", ""}, false},
		{[]string{"learner", "unhealthy", ""}, false}, // one of two voters
		{[]string{"learner", "", ""}, true},
		{[]string{"unreachable", "unreachable", "unreachable"}, true}, // deaf to callers, not to its peers
		{[]string{"alarm", "differing", ""}, true},
	} {
		if set(is.faults...) != is.quorum {
			t.Errorf("%v: quorum is %v", is.faults, !is.quorum)
		}
	}
}

func TestAMemberThatIsAbsentRejoinsOnlyAfterAReboot(t *testing.T) {
	w, ms := three(t)
	m := ms[1]
	m.notes[prefix+"etcd"] = "absent"
	w.c.membership(m, true, w.subnet)
	w.c.membership(m, true, w.subnet)
	if m.member() != nil || len(w.c.members) != 2 {
		t.Fatalf("still one of %d members", len(w.c.members))
	}
	delete(m.notes, prefix+"etcd")
	if w.c.membership(m, true, w.subnet); m.member() != nil {
		t.Error("rejoined while it runs on")
	}
	m.restart()
	if w.c.membership(m, true, w.subnet); m.member() == nil {
		t.Error("not back after the reboot")
	}
}

func TestAMachineBornAbsentNeverJoins(t *testing.T) {
	w, _ := three(t)
	m := w.machine("cp-4", true)
	w.c.remove(m.member())
	m.restart()
	m.notes[prefix+"etcd"] = "absent"
	if w.c.membership(m, true, w.subnet); m.member() != nil {
		t.Error("joined")
	}
	if m.finishBoot(0); m.booted {
		t.Error("booted without etcd")
	}
}

func TestNobodyJoinsWithoutQuorumOrNode(t *testing.T) {
	w, ms := three(t)
	m := ms[0]
	w.c.remove(m.member())
	m.restart()
	if w.c.membership(m, false, w.subnet); m.member() != nil {
		t.Error("joined before its Node was there")
	}
	ms[1].notes[prefix+"etcd"] = "unhealthy"
	if w.c.membership(m, true, w.subnet); m.member() != nil {
		t.Error("joined without quorum")
	}
	ms[1].notes[prefix+"etcd"] = ""
	if w.c.membership(m, true, w.subnet); m.member() == nil {
		t.Error("did not join")
	}
}

func TestAStaleMemberCountsUntilSomebodyRemovesIt(t *testing.T) {
	w, ms := three(t)
	ms[0].notes[prefix+"etcd"] = "stale-member"
	w.c.membership(ms[0], true, w.subnet)
	names := []string{}
	for _, e := range ms[1].list() {
		names = append(names, e.hostname)
	}
	if !slices.Equal(names, []string{"node-cp-1", "node-cp-1-stale", "node-cp-2", "node-cp-3"}) {
		t.Fatal(names)
	}
	w.c.remove(ms[0].list()[1])
	if w.c.membership(ms[0], true, w.subnet); len(w.c.members) != 3 {
		t.Error("the stale member is back")
	}
}

func TestOneMemberMayTellAnotherList(t *testing.T) {
	_, ms := three(t)
	ms[0].notes[prefix+"etcd"] = "differing"
	if own, other := len(ms[0].list()), len(ms[1].list()); own != 4 || other != 3 {
		t.Errorf("%d and %d members", own, other)
	}
}

func TestTheLeaderIsUpAndHasAVote(t *testing.T) {
	w, ms := three(t)
	for _, fault := range []string{"unhealthy", "learner"} {
		was := w.c.members[w.c.leader].m
		was.notes[prefix+"etcd"] = fault
		if w.c.elect(0); w.c.members[w.c.leader].m == was {
			t.Errorf("%s, and leads", fault)
		}
		was.notes[prefix+"etcd"] = ""
	}
	for _, m := range ms {
		m.notes[prefix+"etcd"] = "unhealthy"
	}
	if w.c.elect(0); w.c.leader != 0 {
		t.Error("a leader without quorum")
	}
}
