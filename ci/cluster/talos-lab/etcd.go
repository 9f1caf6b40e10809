package main

import (
	"maps"
	"slices"
)

type member struct {
	id             uint64
	hostname, addr string
	m              *machine // nil once no machine stands behind it: a stale member
}

func (m *machine) member() *member {
	for _, e := range m.members {
		if e.m == m {
			return e
		}
	}
	return nil
}

// up tells whether a member answers its peers.
func (e *member) up() bool {
	return e.m != nil && !e.m.down() && e.m.notes["lab.talos/etcd"] != "unhealthy"
}

func (e *member) learner() bool { return e.m != nil && e.m.notes["lab.talos/etcd"] == "learner" }

// quorum: more than half of the members with a vote are up. Stale members count, as in etcd.
func (c *cluster) quorum() bool {
	voters, up := 0, 0
	for _, e := range c.members {
		if !e.learner() {
			voters++
			if e.up() {
				up++
			}
		}
	}
	return up*2 > voters
}

// elect keeps a leader that is up, else takes the next in line; not is a member that must not become one.
func (c *cluster) elect(not uint64) {
	old := c.leader
	can := func(id uint64) bool {
		e := c.members[id]
		return e != nil && e.up() && !e.learner() && id != not && c.quorum()
	}
	if can(old) {
		return
	}
	c.leader = 0
	if order := slices.DeleteFunc(slices.Sorted(maps.Keys(c.members)), func(id uint64) bool { return !can(id) }); len(order) > 0 {
		c.leader = order[0]
	}
	if c.leader != old {
		c.term++
		record("etcd leader", "cluster", c.name, "node", c.hostname(c.leader))
	}
}

func (c *cluster) hostname(id uint64) string {
	if e := c.members[id]; e != nil {
		return e.hostname
	}
	return ""
}

// remove takes a member out; its machine, if any, keeps running with etcd finished.
func (c *cluster) remove(e *member) {
	delete(c.members, e.id)
	if e.m != nil {
		e.m.left, e.m.etcdData = true, false
	}
	record("etcd leave", "cluster", c.name, "node", e.hostname)
	c.elect(0)
}
