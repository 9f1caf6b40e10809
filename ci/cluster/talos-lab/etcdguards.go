package main

import (
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

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
