package main

import (
	"errors"
	"fmt"
	"time"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

func (c *call) bootstrap() (proto.Message, error) {
	switch {
	case !c.m.controlPlane:
		return nil, status.Error(codes.Unimplemented, "bootstrap is only available on control plane nodes")
	case c.m.etcdData:
		return nil, status.Error(codes.AlreadyExists, "etcd data directory is not empty")
	}
	c.m.etcdData, c.m.bootstrapped = true, true // etcd starts once the Node is registered, see membership
	record("bootstrap", "cluster", c.m.cluster.name, "node", c.m.node)
	return &machineapi.BootstrapResponse{Messages: []*machineapi.Bootstrap{{}}}, nil
}

func (c *call) memberList() (proto.Message, error) {
	if e := c.m.member(); c.req.(*machineapi.EtcdMemberListRequest).QueryLocal && (e == nil || !e.up()) {
		return nil, silence // else Talos asks whichever member answers
	}
	list := &machineapi.EtcdMembers{}
	for _, e := range c.m.list() {
		list.Members = append(list.Members, &machineapi.EtcdMember{Id: e.id, Hostname: e.hostname, IsLearner: e.learner(),
			PeerUrls: []string{"https://" + e.addr + ":2380"}, ClientUrls: []string{"https://" + e.addr + ":2379"}})
	}
	return &machineapi.EtcdMemberListResponse{Messages: []*machineapi.EtcdMembers{list}}, nil
}

func (c *call) etcdStatus() (proto.Message, error) {
	index := uint64(time.Since(c.m.ca.Crt.NotBefore).Seconds()) // grows, and is the same on all members
	return &machineapi.EtcdStatusResponse{Messages: []*machineapi.EtcdStatus{{MemberStatus: &machineapi.EtcdMemberStatus{
		MemberId: c.m.member().id, Leader: c.m.leader, RaftTerm: c.m.term, RaftIndex: index, RaftAppliedIndex: index, DbSize: 20 << 20,
		DbSizeInUse: 8 << 20, ProtocolVersion: "3.6.0", StorageVersion: "3.6.0", IsLearner: c.m.member().learner()}}}}, nil
}

func (c *call) alarms() (proto.Message, error) {
	alarms := &machineapi.EtcdAlarm{}
	for _, e := range c.m.members {
		if e.m != nil && e.m.fault("etcd") == "alarm" {
			alarms.MemberAlarms = append(alarms.MemberAlarms, &machineapi.EtcdMemberAlarm{MemberId: e.id, Alarm: machineapi.EtcdMemberAlarm_NOSPACE})
		}
	}
	return &machineapi.EtcdAlarmListResponse{Messages: []*machineapi.EtcdAlarm{alarms}}, nil
}

func (c *call) forfeitLeadership() (proto.Message, error) {
	reply := &machineapi.EtcdForfeitLeadership{} // names the new leader, or nobody when this member was not the leader
	if e := c.m.member(); e == nil {
		return nil, fmt.Errorf("failed to get local etcd member ID")
	} else if c.m.leader == e.id {
		c.m.elect(e.id)
		reply.Member = c.m.cluster.hostname(c.m.leader)
	}
	return &machineapi.EtcdForfeitLeadershipResponse{Messages: []*machineapi.EtcdForfeitLeadership{reply}}, nil
}

func (c *call) leaveCluster() (proto.Message, error) {
	e := c.m.member()
	if e == nil {
		return nil, fmt.Errorf("failed to leave cluster: failed to get local etcd member ID")
	}
	c.m.remove(e)
	return &machineapi.EtcdLeaveClusterResponse{Messages: []*machineapi.EtcdLeaveCluster{{}}}, nil
}

func (c *call) removeMember() (proto.Message, error) {
	e := c.m.members[c.req.(*machineapi.EtcdRemoveMemberByIDRequest).MemberId]
	if e == nil {
		return nil, status.Error(codes.NotFound, "etcdserver: member not found")
	}
	c.m.remove(e)
	return &machineapi.EtcdRemoveMemberByIDResponse{Messages: []*machineapi.EtcdRemoveMemberByID{{}}}, nil
}

var silence = errors.New("failed to query etcd: context deadline exceeded")

// quorate guards what the etcd cluster decides or reads: it needs quorum. local guards what one member tells of itself.
func quorate(run func(*call) (proto.Message, error)) func(*call) (proto.Message, error) {
	return guard(run, func(m *machine) error {
		if !m.quorum() {
			return status.Error(codes.Unavailable, "etcdserver: no leader")
		}
		return nil
	})
}

func local(run func(*call) (proto.Message, error)) func(*call) (proto.Message, error) {
	return guard(run, func(m *machine) error {
		if e := m.member(); e == nil || !e.up() {
			return silence
		}
		return nil
	})
}

func guard(run func(*call) (proto.Message, error), check func(*machine) error) func(*call) (proto.Message, error) {
	return func(c *call) (proto.Message, error) {
		if !c.m.controlPlane {
			return nil, status.Error(codes.Unimplemented, "etcd is only available on control plane nodes")
		}
		if delay, is := c.m.waiting("etcd", "unreachable", 0); is {
			c.mu.Unlock()
			_ = c.wait(delay)
			c.mu.Lock()
			return nil, silence
		}
		if err := check(c.m); err != nil {
			return nil, err
		}
		return run(c)
	}
}
