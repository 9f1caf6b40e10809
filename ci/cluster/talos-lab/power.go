package main

import (
	"strconv"
	"time"

	"github.com/google/uuid"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
)

// restart forgets what a real machine forgets when it restarts, and returns the new boot as annotations.
func (m *machine) restart() map[string]any {
	m.bootID, m.bootTime, m.rebootAt, m.booted, m.left, m.events = uuid.NewString(), time.Now(), time.Time{}, false, false, nil
	m.emit("", &machineapi.SequenceEvent{Sequence: "boot", Action: machineapi.SequenceEvent_START})
	facts := map[string]any{"boot-id": m.bootID, "boot-time": m.bootTime.UTC().Format(time.RFC3339), "reboots": strconv.Itoa(m.reboots)}
	if m.reboots > 0 && m.fault("node") == "hung" { // the one fault that a reboot heals
		delete(m.notes, prefix+"node")
		facts["node"] = nil
	}
	return facts
}

// powerOff begins a reboot, if none is going on.
func (m *machine) powerOff(actor string, after time.Duration) {
	if !m.rebootAt.IsZero() {
		return
	}
	m.rebootAt = time.Now().Add(after)
	m.emit(actor, &machineapi.SequenceEvent{Sequence: "reboot", Action: machineapi.SequenceEvent_START})
}

// down tells whether the machine is away for a reboot.
func (m *machine) down() bool { return !m.rebootAt.IsZero() && !time.Now().Before(m.rebootAt) }

// finishBoot: Talos ends the boot sequence when all services are up, etcd included; it does not wait for the Node.
func (m *machine) finishBoot(shortest time.Duration) {
	if m.booted || !m.rebootAt.IsZero() || time.Since(m.bootTime) < shortest || m.fault("boot") == "stuck" || m.controlPlane && m.member() == nil {
		return
	}
	m.booted = true
	m.emit("", &machineapi.SequenceEvent{Sequence: "boot", Action: machineapi.SequenceEvent_STOP})
	m.emit("", &machineapi.MachineStatusEvent{Stage: machineapi.MachineStatusEvent_RUNNING, Status: &machineapi.MachineStatusEvent_MachineStatus{Ready: true}})
}
