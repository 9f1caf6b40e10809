package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestRebootFaults(t *testing.T) {
	for fault, want := range map[string]struct {
		code    codes.Code
		reboots bool
	}{
		"": {codes.OK, true}, "ignored": {codes.OK, false}, "refused": {codes.FailedPrecondition, false},
		"unavailable": {codes.Unavailable, false}, "lost": {codes.Unavailable, true},
	} {
		t.Run(fault, func(t *testing.T) {
			w := newWorld(t)
			m := w.machine("w-1", false)
			before := m.bootID
			m.notes[prefix+"reboot"] = fault
			_, err := w.dial(m, role.Operator).Reboot(background, &machineapi.RebootRequest{Mode: machineapi.RebootRequest_POWERCYCLE})
			if status.Code(err) != want.code {
				t.Errorf("%v, expected %s", err, want.code)
			}
			if reset := strings.Contains(status.Convert(err).Message(), "connection reset by peer"); reset != (fault == "lost") {
				t.Errorf("%v", err)
			}
			if w.note(machineGVR, "w-1", "reboot-calls") != "1" || w.note(machineGVR, "w-1", "reboot-mode") != "POWERCYCLE" {
				t.Error("the call is not counted on the Machine")
			}
			if !want.reboots {
				if !m.rebootAt.IsZero() || m.bootID != before {
					t.Error("it reboots")
				}
				return
			}
			if w.rebooted(m); m.bootID == before || w.note(machineGVR, "w-1", "reboots") != "1" {
				t.Error("the same boot as before")
			}
		})
	}
}

func TestEveryCallThatReachesTheMachineIsCounted(t *testing.T) {
	w := newWorld(t)
	cp, worker := w.machine("cp-1", true), w.machine("w-1", false)
	worker.mode = ""
	var lines bytes.Buffer
	journal = &lines
	defer func() { journal = io.Discard }()
	client := w.dial(cp, role.Operator)
	for _, fault := range []string{"ignored", "refused", "unavailable", "", "", "lost"} {
		w.mu.Lock()
		worker.notes[prefix+"reboot"] = fault
		w.mu.Unlock()
		_, _ = client.Reboot(to(worker), &machineapi.RebootRequest{})
	}
	if _, err := w.dial(cp, role.Reader).Reboot(to(worker), &machineapi.RebootRequest{}); status.Code(err) != codes.PermissionDenied {
		t.Error(err)
	}
	if told := w.note(machineGVR, "w-1", "reboot-calls"); told != "6" {
		t.Errorf("%s calls on the Machine", told)
	}
	journalMu.Lock()
	told := strings.Count(lines.String(), `"event":"reboot call"`)
	journalMu.Unlock()
	if told != 6 {
		t.Errorf("%d calls in the log", told)
	}
	if told := w.note(machineGVR, "cp-1", "reboot-calls"); told != "" {
		t.Errorf("%s calls counted on the machine that forwarded", told)
	}
	if w.rebooted(worker); worker.reboots != 1 {
		t.Errorf("%d reboots", worker.reboots)
	}
}
