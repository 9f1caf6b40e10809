package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/cosi-project/runtime/pkg/resource/protobuf"
	"github.com/google/uuid"
	"github.com/siderolabs/talos/pkg/machinery/api/common"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// call is one request as one machine sees it. It runs with the lab locked; a unary method returns its answer, a streaming
// one uses send and returns nil.
type call struct {
	*lab
	ctx  context.Context
	m    *machine
	req  proto.Message
	send func(proto.Message) error
}

type method struct {
	allowed role.Set
	run     func(*call) (proto.Message, error)
}

// front is the door of one machine's apid. Like apid it needs no code per method: it checks the caller, sends the
// request to the machines that the metadata names (the caller reached only this one), and with "nodes" merges their
// answers, each stamped with the address it came from.
func (l *lab) front(m *machine, maintenance bool) grpc.StreamHandler {
	return func(_ any, stream grpc.ServerStream) error {
		name, _ := grpc.MethodFromServerStream(stream)
		found, ok := methods[name]
		if !ok || maintenance {
			return status.Errorf(codes.Unimplemented, "unknown method %s", name)
		}
		targets, many, err := l.route(stream.Context(), m, name, found.allowed)
		if err != nil {
			return err
		}
		d, _ := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(strings.ReplaceAll(name[1:], "/", ".")))
		desc := d.(protoreflect.MethodDescriptor)
		in, _ := protoregistry.GlobalTypes.FindMessageByName(desc.Input().FullName())
		out, _ := protoregistry.GlobalTypes.FindMessageByName(desc.Output().FullName())
		req, merged := in.New().Interface(), out.New().Interface()
		if err := stream.RecvMsg(req); err != nil {
			return err
		}
		var mu sync.Mutex
		deliver := func(msg proto.Message, target string, failed error) error {
			mu.Lock()
			defer mu.Unlock()
			if many {
				stamp(msg.ProtoReflect(), desc.IsStreamingServer(), target, failed)
			}
			if desc.IsStreamingServer() {
				return stream.SendMsg(msg)
			}
			proto.Merge(merged, msg)
			return nil
		}
		var wg sync.WaitGroup
		var single error
		for _, target := range targets {
			wg.Go(func() {
				c := &call{lab: l, ctx: stream.Context(), req: req, send: func(msg proto.Message) error { return deliver(msg, target, nil) }}
				msg, err := c.as(m, target, found.run)
				switch {
				case err == nil && msg != nil:
					_ = deliver(msg, target, nil)
				case err != nil && many:
					_ = deliver(out.New().Interface(), target, err)
				case err != nil:
					single = err
				}
			})
		}
		wg.Wait()
		if single != nil || desc.IsStreamingServer() {
			return single
		}
		return stream.SendMsg(merged)
	}
}

// stamp sets the metadata field of a streamed message, or of every element of a unary answer's "messages".
func stamp(msg protoreflect.Message, streaming bool, target string, err error) {
	md := &common.Metadata{Hostname: target}
	if err != nil {
		md.Error, md.Status = err.Error(), status.Convert(err).Proto()
	}
	parts := []protoreflect.Message{msg}
	if !streaming {
		parts = nil
		list := msg.Mutable(msg.Descriptor().Fields().ByName("messages")).List()
		if err != nil {
			list.AppendMutable()
		}
		for i := range list.Len() {
			parts = append(parts, list.Get(i).Message())
		}
	}
	for _, part := range parts {
		part.Set(part.Descriptor().Fields().ByName("metadata"), protoreflect.ValueOfMessage(md.ProtoReflect()))
	}
}

// route checks the roles in the caller's certificate and finds out which machines shall answer.
func (l *lab) route(ctx context.Context, m *machine, name string, allowed role.Set) (targets []string, many bool, err error) {
	p, _ := peer.FromContext(ctx)
	roles, _ := role.Parse(p.AuthInfo.(credentials.TLSInfo).State.PeerCertificates[0].Subject.Organization)
	md, _ := metadata.FromIncomingContext(ctx)
	targets, many = md["nodes"], len(md["nodes"]) > 0
	if !many {
		targets = md["node"]
	}
	record("call", "method", name[strings.LastIndex(name, "/")+1:], "via", m.name, "nodes", strings.Join(targets, ","), "roles", strings.Join(roles.Strings(), ","))
	switch {
	case !allowed.IncludesAny(roles):
		return nil, false, status.Error(codes.PermissionDenied, "not authorized")
	case many && !strings.HasPrefix(name, "/machine."):
		return nil, false, status.Errorf(codes.InvalidArgument, "one-2-many proxying is not supported for method %s", name)
	case len(targets) == 0:
		return []string{m.addr}, false, nil
	case !m.controlPlane && (len(targets) > 1 || targets[0] != m.addr && targets[0] != m.node):
		return nil, false, status.Error(codes.PermissionDenied, "no request forwarding") // workers only answer for themselves
	}
	return targets, many, nil
}

// as runs the call as the machine at target, and fails as apid does when it cannot reach that machine's apid.
func (c *call) as(via *machine, target string, run func(*call) (proto.Message, error)) (proto.Message, error) {
	c.mu.Lock()
	for _, m := range c.machines {
		if m.cluster == via.cluster && (m.addr == target || m.node == target) {
			c.m = m
		}
	}
	slow, mode := "", "down"
	if c.m != nil {
		slow, mode = c.m.notes["lab.talos/apid"], c.m.mode
	}
	c.mu.Unlock()
	switch mode {
	case "down":
		return nil, status.Errorf(codes.Unavailable, "connection error: desc = \"transport: Error while dialing: dial tcp %s:50000: connect: connection refused\"", target)
	case "maintenance":
		return nil, status.Error(codes.Unavailable, "connection error: desc = \"transport: authentication handshake failed: tls: failed to verify certificate: x509: certificate signed by unknown authority\"")
	}
	if strings.HasPrefix(slow, "slow") {
		delay, err := time.ParseDuration(strings.TrimPrefix(slow, "slow="))
		if err != nil {
			delay = 8 * time.Second // longer than the control plane provider waits
		}
		select {
		case <-time.After(delay):
		case <-c.ctx.Done():
			return nil, status.FromContextError(c.ctx.Err()).Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return run(c)
}

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
			return fmt.Errorf("failed to query etcd status: context deadline exceeded")
		}
		return nil
	})
}

func guard(run func(*call) (proto.Message, error), check func(*machine) error) func(*call) (proto.Message, error) {
	return func(c *call) (proto.Message, error) {
		if !c.m.controlPlane {
			return nil, status.Error(codes.Unimplemented, "etcd is only available on control plane nodes")
		}
		if err := check(c.m); err != nil {
			return nil, err
		}
		return run(c)
	}
}

func (c *call) services() (proto.Message, error) {
	list := &machineapi.ServiceList{}
	add := func(id, state, message string, healthy, unknown bool) {
		at := timestamppb.New(c.m.bootTime)
		list.Services = append(list.Services, &machineapi.ServiceInfo{Id: id, State: state,
			Events: &machineapi.ServiceEvents{Events: []*machineapi.ServiceEvent{{State: state, Msg: message, Ts: at}}},
			Health: &machineapi.ServiceHealth{Healthy: healthy, Unknown: unknown, LastMessage: message, LastChange: at}})
	}
	for _, id := range []string{"apid", "containerd", "cri", "kubelet", "machined"} {
		add(id, "Running", "Health check successful", true, false)
	}
	switch e := c.m.member(); {
	case !c.m.controlPlane:
	case c.m.left:
		add("etcd", "Finished", "service not running", false, false)
	case e == nil:
		add("etcd", "Preparing", "Running pre state", false, true)
	default:
		add("etcd", "Running", map[bool]string{true: "Health check successful", false: "context deadline exceeded"}[e.up()], e.up(), false)
	}
	return &machineapi.ServiceListResponse{Messages: []*machineapi.ServiceList{list}}, nil
}

// events greets with an empty event, sends the past (the last TailEvents of it, or all, whatever tail is asked for), and
// follows. It gives the lock up while it sends and waits.
func (c *call) events() (proto.Message, error) {
	req := c.req.(*machineapi.EventsRequest)
	sent, pending := len(c.m.events), []*machineapi.Event{{Data: &anypb.Any{}, ActorId: req.WithActorId}}
	if req.TailEvents > 0 {
		sent = max(0, sent-int(req.TailEvents))
	} else if req.TailEvents < 0 || req.TailId != "" || req.TailSeconds > 0 {
		sent = 0
	}
	for {
		pending = append(pending, c.m.events[min(sent, len(c.m.events)):]...)
		more := c.m.more
		sent = len(c.m.events)
		c.mu.Unlock()
		err := func() error {
			for _, e := range pending {
				if req.WithActorId == "" || req.WithActorId == e.ActorId {
					if err := c.send(proto.CloneOf(e)); err != nil {
						return err
					}
				}
			}
			select {
			case <-more:
				return nil
			case <-c.ctx.Done():
				return status.FromContextError(c.ctx.Err()).Err()
			}
		}()
		c.mu.Lock()
		if pending = nil; err != nil {
			return nil, err
		}
	}
}
