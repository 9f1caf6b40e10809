package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/cosi-project/runtime/pkg/resource/protobuf"
	"github.com/google/uuid"
	"github.com/siderolabs/talos/pkg/machinery/api/common"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Roles as in Talos.
var (
	admin   = role.MakeSet(role.Admin)
	operate = role.MakeSet(role.Admin, role.Operator)
	read    = role.MakeSet(role.Admin, role.Operator, role.Reader)
	backup  = role.MakeSet(role.Admin, role.Operator, role.Reader, role.EtcdBackup)
)

// methods is all that the machines can do: what the control plane provider calls, and what a rollout tool needs.
var methods = map[string]method{
	"/machine.MachineService/Version": {read, func(c *call) (proto.Message, error) {
		return &machineapi.VersionResponse{Messages: []*machineapi.Version{{
			Version:  &machineapi.VersionInfo{Tag: c.version, Os: "linux", Arch: "amd64"},
			Platform: &machineapi.PlatformInfo{Name: "metal", Mode: "metal"}, Features: &machineapi.FeaturesInfo{Rbac: true}}}}, nil
	}},
	"/machine.MachineService/Hostname": {read, func(c *call) (proto.Message, error) {
		return &machineapi.HostnameResponse{Messages: []*machineapi.Hostname{{Hostname: c.m.node}}}, nil
	}},
	"/machine.MachineService/SystemStat": {read, func(c *call) (proto.Message, error) {
		return &machineapi.SystemStatResponse{Messages: []*machineapi.SystemStat{{BootTime: uint64(c.m.bootTime.Unix())}}}, nil
	}},
	"/machine.MachineService/ServiceList": {read, (*call).services},
	"/machine.MachineService/Events":      {read, (*call).events},
	// One directory: the control plane provider looks for etcd's data before it bootstraps.
	"/machine.MachineService/List": {read, func(c *call) (proto.Message, error) {
		root := c.req.(*machineapi.ListRequest).Root
		if !c.m.etcdData || root != "/var/lib/etcd/member" {
			return nil, fmt.Errorf("lstat %s: no such file or directory", root)
		}
		return nil, c.send(&machineapi.FileInfo{Name: root, RelativeName: ".", IsDir: true})
	}},
	// One file: the boot ID, by which talosctl and others see that a reboot happened.
	"/machine.MachineService/Read": {admin, func(c *call) (proto.Message, error) {
		if path := c.req.(*machineapi.ReadRequest).Path; path != "/proc/sys/kernel/random/boot_id" {
			return nil, fmt.Errorf("stat %s: no such file or directory", path)
		}
		return nil, c.send(&common.Data{Bytes: []byte(c.m.bootID + "\n")})
	}},
	"/machine.MachineService/Reboot": {operate, func(c *call) (proto.Message, error) {
		actor, mode := uuid.NewString(), c.req.(*machineapi.RebootRequest).Mode.String()
		if c.m.rebootAt.IsZero() {
			c.m.rebootAt = time.Now().Add(time.Second) // time to answer
			c.m.emit(actor, &machineapi.SequenceEvent{Sequence: "reboot", Action: machineapi.SequenceEvent_START})
			c.annotate(c.ctx, c.m, map[string]any{"reboot-mode": mode})
			record("reboot", "machine", c.m.name, "node", c.m.node, "mode", mode)
		}
		return &machineapi.RebootResponse{Messages: []*machineapi.Reboot{{ActorId: actor}}}, nil
	}},
	"/machine.MachineService/Bootstrap": {admin, func(c *call) (proto.Message, error) {
		switch {
		case !c.m.controlPlane:
			return nil, status.Error(codes.Unimplemented, "bootstrap is only available on control plane nodes")
		case c.m.etcdData:
			return nil, status.Error(codes.AlreadyExists, "etcd data directory is not empty")
		}
		c.m.etcdData, c.m.bootstrapped = true, true // etcd starts once the Node is registered, see tend
		record("bootstrap", "cluster", c.m.cluster.name, "node", c.m.node)
		return &machineapi.BootstrapResponse{Messages: []*machineapi.Bootstrap{{}}}, nil
	}},
	"/machine.MachineService/EtcdMemberList": {backup, quorate(func(c *call) (proto.Message, error) {
		list := &machineapi.EtcdMembers{}
		for _, e := range c.m.members {
			list.Members = append(list.Members, &machineapi.EtcdMember{Id: e.id, Hostname: e.hostname, IsLearner: e.learner(),
				PeerUrls: []string{"https://" + e.addr + ":2380"}, ClientUrls: []string{"https://" + e.addr + ":2379"}})
		}
		slices.SortFunc(list.Members, func(x, y *machineapi.EtcdMember) int { return strings.Compare(x.Hostname, y.Hostname) })
		return &machineapi.EtcdMemberListResponse{Messages: []*machineapi.EtcdMembers{list}}, nil
	})},
	"/machine.MachineService/EtcdStatus": {backup, local(func(c *call) (proto.Message, error) {
		index := uint64(time.Since(c.m.ca.Crt.NotBefore).Seconds()) // grows, and is the same on all members
		return &machineapi.EtcdStatusResponse{Messages: []*machineapi.EtcdStatus{{MemberStatus: &machineapi.EtcdMemberStatus{
			MemberId: c.m.member().id, Leader: c.m.leader, RaftTerm: c.m.term, RaftIndex: index, RaftAppliedIndex: index, DbSize: 20 << 20,
			DbSizeInUse: 8 << 20, ProtocolVersion: "3.6.0", StorageVersion: "3.6.0", IsLearner: c.m.member().learner()}}}}, nil
	})},
	"/machine.MachineService/EtcdAlarmList": {backup, local(func(c *call) (proto.Message, error) {
		alarms := &machineapi.EtcdAlarm{}
		for _, e := range c.m.members {
			if e.m != nil && e.m.notes["lab.talos/etcd"] == "alarm" {
				alarms.MemberAlarms = append(alarms.MemberAlarms, &machineapi.EtcdMemberAlarm{MemberId: e.id, Alarm: machineapi.EtcdMemberAlarm_NOSPACE})
			}
		}
		return &machineapi.EtcdAlarmListResponse{Messages: []*machineapi.EtcdAlarm{alarms}}, nil
	})},
	"/machine.MachineService/EtcdForfeitLeadership": {admin, quorate(func(c *call) (proto.Message, error) {
		reply := &machineapi.EtcdForfeitLeadership{} // names the new leader, or nobody when this member was not the leader
		if e := c.m.member(); e == nil {
			return nil, fmt.Errorf("failed to get local etcd member ID")
		} else if c.m.leader == e.id {
			c.m.elect(e.id)
			reply.Member = c.m.hostname(c.m.leader)
		}
		return &machineapi.EtcdForfeitLeadershipResponse{Messages: []*machineapi.EtcdForfeitLeadership{reply}}, nil
	})},
	"/machine.MachineService/EtcdLeaveCluster": {admin, quorate(func(c *call) (proto.Message, error) {
		e := c.m.member()
		if e == nil {
			return nil, fmt.Errorf("failed to leave cluster: failed to get local etcd member ID")
		}
		c.m.remove(e)
		return &machineapi.EtcdLeaveClusterResponse{Messages: []*machineapi.EtcdLeaveCluster{{}}}, nil
	})},
	"/machine.MachineService/EtcdRemoveMemberByID": {admin, quorate(func(c *call) (proto.Message, error) {
		e := c.m.members[c.req.(*machineapi.EtcdRemoveMemberByIDRequest).MemberId]
		if e == nil {
			return nil, status.Error(codes.NotFound, "etcdserver: member not found")
		}
		c.m.remove(e)
		return &machineapi.EtcdRemoveMemberByIDResponse{Messages: []*machineapi.EtcdRemoveMemberByID{{}}}, nil
	})},
	// One resource: MachineStatus.
	"/cosi.resource.State/Get": {read, func(c *call) (proto.Message, error) {
		req, res := c.req.(*v1alpha1.GetRequest), runtime.NewMachineStatus()
		if req.Type != runtime.MachineStatusType || req.Id != runtime.MachineStatusID {
			return nil, status.Errorf(codes.NotFound, "resource %s(%s/%s@undefined) doesn't exist", req.Type, req.Namespace, req.Id)
		}
		res.TypedSpec().Stage = runtime.MachineStageRunning
		if !c.m.rebootAt.IsZero() {
			res.TypedSpec().Stage = runtime.MachineStageRebooting
		} else if !c.m.booted {
			res.TypedSpec().Stage = runtime.MachineStageBooting
		}
		res.TypedSpec().Status.Ready = res.TypedSpec().Stage == runtime.MachineStageRunning
		encoded, err := protobuf.FromResource(res)
		if err != nil {
			return nil, err
		}
		answer, err := encoded.Marshal()
		return &v1alpha1.GetResponse{Resource: answer}, err
	}},
}
