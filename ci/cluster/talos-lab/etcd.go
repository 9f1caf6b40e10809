package main

import (
	"maps"
	"slices"
	"strings"
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
	return e.m != nil && !e.m.down() && e.m.fault("etcd") != "unhealthy"
}

func (e *member) learner() bool { return e.m != nil && e.m.fault("etcd") == "learner" }

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

// membership lets a machine join or leave the table. A control plane machine joins when its kubelet has registered the
// Node. Joining is a change of the etcd cluster, so it needs quorum; nobody rejoins without a reboot after leaving.
func (c *cluster) membership(m *machine, registered bool, subnet string) {
	absent := m.fault("etcd") == "absent"
	switch e := m.member(); {
	case e != nil && absent:
		c.remove(e)
	case e == nil && c.bootstrapped && m.controlPlane && registered && !absent && !m.deleting && !m.left && !m.down() &&
		(len(c.members) == 0 || c.quorum()):
		c.join(m)
	}
	if stale := m.fault("etcd") == "stale-member"; stale != m.stale {
		if m.stale = stale; stale { // once: whoever removes it has removed it
			id := hash(string(m.uid) + "-stale")
			c.members[id] = &member{id: id, hostname: m.node + "-stale", addr: subnet + ".255.254"}
		}
	}
}

func (c *cluster) join(m *machine) {
	id := hash(string(m.uid))
	c.members[id] = &member{id: id, hostname: m.node, addr: m.addr, m: m}
	m.etcdData = true
	record("etcd join", "machine", m.name, "node", m.node)
}

// list is what this machine's member tells about all members, by hostname. A differing one still knows a member that
// the others have removed.
func (m *machine) list() []*member {
	list := slices.Collect(maps.Values(m.members))
	if m.fault("etcd") == "differing" {
		list = append(list, &member{id: hash(string(m.uid) + "-departed"), hostname: m.node + "-departed", addr: m.addr})
	}
	slices.SortFunc(list, func(x, y *member) int { return strings.Compare(x.hostname, y.hostname) })
	return list
}
