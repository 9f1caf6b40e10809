package main

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/common"
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
	mode := "down"
	var delay time.Duration
	if c.m != nil {
		mode = c.m.mode
		delay, _ = c.m.waiting("apid", "slow", 8*time.Second) // longer than the control plane provider waits
	}
	c.mu.Unlock()
	switch mode {
	case "down":
		return nil, status.Errorf(codes.Unavailable, "connection error: desc = \"transport: Error while dialing: dial tcp %s:50000: connect: connection refused\"", target)
	case "maintenance":
		return nil, status.Error(codes.Unavailable, "connection error: desc = \"transport: authentication handshake failed: tls: failed to verify certificate: x509: certificate signed by unknown authority\"")
	}
	if err := c.wait(delay); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return run(c)
}

// wait is called without the lock.
func (c *call) wait(delay time.Duration) error {
	select {
	case <-time.After(delay):
		return nil
	case <-c.ctx.Done():
		return status.FromContextError(c.ctx.Err()).Err()
	}
}
