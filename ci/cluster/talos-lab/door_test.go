package main

import (
	"context"
	"crypto/tls"
	stdx509 "crypto/x509"
	"fmt"
	"strings"
	"testing"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

var background = context.Background()

func TestRolesAreTalosOwn(t *testing.T) {
	w, ms := three(t)
	calls := map[string]func(machineapi.MachineServiceClient) error{
		"version": func(c machineapi.MachineServiceClient) error {
			_, err := c.Version(background, &emptypb.Empty{})
			return err
		},
		"reboot": func(c machineapi.MachineServiceClient) error {
			_, err := c.Reboot(background, &machineapi.RebootRequest{})
			return err
		},
		"members": func(c machineapi.MachineServiceClient) error {
			_, err := c.EtcdMemberList(background, &machineapi.EtcdMemberListRequest{})
			return err
		},
		"remove": func(c machineapi.MachineServiceClient) error {
			_, err := c.EtcdRemoveMemberByID(background, &machineapi.EtcdRemoveMemberByIDRequest{MemberId: 1})
			if status.Code(err) == codes.NotFound {
				return nil
			}
			return err
		},
	}
	for as, allowed := range map[role.Role]string{
		role.Admin: "version reboot members remove", role.Operator: "version reboot members", role.Reader: "version members",
		role.EtcdBackup: "members", role.Impersonator: ""} {
		client := w.dial(ms[0], as)
		for name, call := range calls {
			want := codes.PermissionDenied
			if strings.Contains(allowed, name) {
				want = codes.OK
			}
			if got := status.Code(call(client)); got != want {
				t.Errorf("%s as %s: %s, expected %s", name, as, got, want)
			}
		}
	}
}

func TestACallerWithoutCertificateIsNobody(t *testing.T) {
	w := newWorld(t)
	m := w.machine("w-1", false)
	w.dial(m, role.Admin)
	known := stdx509.NewCertPool()
	known.AddCert(w.c.ca.Crt)
	if _, err := w.connect(m, &tls.Config{RootCAs: known}).Version(background, &emptypb.Empty{}); err == nil {
		t.Error("answered")
	}
}

func TestMaintenanceShowsACertificateOfNoKnownAuthority(t *testing.T) {
	w := newWorld(t)
	m := w.machine("w-1", false)
	client := w.dial(m, role.Admin)
	m.notes[prefix+"apid"] = "maintenance"
	w.mu.Lock()
	w.power(background, m)
	w.mu.Unlock()
	if _, err := client.Version(background, &emptypb.Empty{}); err == nil || !strings.Contains(fmt.Sprint(err), "certificate signed by unknown authority") {
		t.Error(err)
	}
}

func TestControlPlaneMachinesForwardAndWorkersDoNot(t *testing.T) {
	w := newWorld(t)
	cp, worker := w.machine("cp-1", true), w.machine("w-1", false)
	worker.mode = ""
	answer, err := w.dial(cp, role.Reader).Hostname(to(worker), &emptypb.Empty{})
	if err != nil || answer.Messages[0].Hostname != "node-w-1" {
		t.Error(answer, err)
	}
	client := w.dial(worker, role.Admin)
	if _, err := client.Hostname(to(cp), &emptypb.Empty{}); status.Code(err) != codes.PermissionDenied {
		t.Error(err)
	}
	if _, err := client.Hostname(to(worker), &emptypb.Empty{}); err != nil {
		t.Error(err)
	}
}

func TestAMachineMayHaveAnotherHostname(t *testing.T) {
	w := newWorld(t)
	m := w.machine("w-1", false)
	m.notes[prefix+"hostname"] = "node-w-7"
	if answer, err := w.dial(m, role.Reader).Hostname(background, &emptypb.Empty{}); err != nil || answer.Messages[0].Hostname != "node-w-7" {
		t.Error(answer, err)
	}
}

func TestTheStageIsToldAsItIsGiven(t *testing.T) {
	m := newWorld(t).machine("w-1", false)
	for _, stage := range []string{"maintenance", "installing", "upgrading", "resetting"} {
		m.notes[prefix+"stage"] = stage
		if got := m.stage().String(); got != stage {
			t.Errorf("%s instead of %s", got, stage)
		}
	}
	delete(m.notes, prefix+"stage")
	if got := m.stage().String(); got != "running" {
		t.Error(got)
	}
	m.powerOff("", 0)
	if got := m.stage().String(); got != "rebooting" {
		t.Error(got)
	}
	if m.restart(); m.stage().String() != "booting" {
		t.Error(m.stage())
	}
}

func TestEtcdFaultsOnTheWire(t *testing.T) {
	w, ms := three(t)
	client := w.dial(ms[0], role.Reader)
	ask := func(local bool) (int, error) {
		answer, err := client.EtcdMemberList(background, &machineapi.EtcdMemberListRequest{QueryLocal: local})
		if err != nil {
			return 0, err
		}
		return len(answer.Messages[0].Members), nil
	}
	for fault, want := range map[string]struct {
		members, local int
		status         bool
	}{
		"": {3, 3, true}, "differing": {4, 4, true}, "unhealthy": {3, 0, false}, "unreachable": {0, 0, false},
		"unreachable=1ms": {0, 0, false}, "learner": {3, 3, true}, "absent": {2, 0, false},
	} {
		w.mu.Lock()
		ms[0].notes[prefix+"etcd"] = fault
		ms[0].restart()
		w.c.membership(ms[0], true, w.subnet)
		w.c.membership(ms[0], true, w.subnet)
		w.mu.Unlock()
		members, _ := ask(false)
		own, _ := ask(true)
		_, err := client.EtcdStatus(background, &emptypb.Empty{})
		if members != want.members || own != want.local || (err == nil) != want.status {
			t.Errorf("%q: %d members, %d by its own list, status %v; expected %v", fault, members, own, err, want)
		}
	}
}
