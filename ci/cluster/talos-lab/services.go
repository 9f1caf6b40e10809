package main

import (
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

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

// follow greets with an empty event, sends the past (the last TailEvents of it, or all, whatever tail is asked for), and
// follows. It gives the lock up while it sends and waits.
func (c *call) follow() (proto.Message, error) {
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
