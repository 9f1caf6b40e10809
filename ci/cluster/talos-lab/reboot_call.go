package main

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// rebootCall counts every call that reached the machine, whatever comes of it: tests count acts here.
func (c *call) rebootCall() (proto.Message, error) {
	m, actor, mode, fault := c.m, uuid.NewString(), c.req.(*machineapi.RebootRequest).Mode.String(), c.m.fault("reboot")
	m.rebootCalls++
	facts := map[string]any{"reboot-calls": strconv.Itoa(m.rebootCalls), "reboot-mode": mode}
	reboots := m.rebootAt.IsZero() && (fault == "" || fault == "lost")
	record("reboot call", "machine", m.name, "node", m.node, "uid", string(m.uid), "mode", mode,
		"calls", strconv.Itoa(m.rebootCalls), "fault", fault, "reboots", strconv.FormatBool(reboots))
	c.annotate(context.WithoutCancel(c.ctx), m, facts)
	switch fault {
	case "refused":
		return nil, status.Error(codes.FailedPrecondition, "reboot is refused: lab.talos/reboot")
	case "unavailable":
		return nil, status.Error(codes.Unavailable, "reboot is unavailable: lab.talos/reboot")
	case "ignored":
	case "lost":
		m.powerOff(actor, 0)
		m.unplug()
		return nil, status.Error(codes.Unavailable, "error reading from server: read: connection reset by peer") // what apid says that forwarded it
	default:
		m.powerOff(actor, time.Second) // time to answer
	}
	return &machineapi.RebootResponse{Messages: []*machineapi.Reboot{{ActorId: actor}}}, nil
}
