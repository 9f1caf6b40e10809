package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
)

const prefix = "lab.talos/"

// faults are the annotations that make a machine misbehave, and the values they may have; none: see valid.
var faults = map[string][]string{
	"apid":           {"down", "maintenance", "slow", "slow=DURATION"},
	"boot":           {"stuck"},
	"etcd":           {"unhealthy", "learner", "alarm", "stale-member", "absent", "unreachable", "unreachable=DURATION", "differing"},
	"hostname":       nil,
	"node":           {"not-ready", "hung", "broken"},
	"reboot":         {"ignored", "lost", "refused", "unavailable"},
	"reboot-seconds": nil,
	"stage":          runtime.MachineStageStrings(),
}

// written are the annotations of talos-lab itself.
var written = []string{"born", "boot-id", "boot-time", "problem", "reboot-calls", "reboot-mode", "reboots"}

// valid refuses what would do nothing: a test with a misspelt fault would pass for no reason.
func valid(kind, value string) error {
	allowed, known := faults[kind]
	word, duration, waits := strings.Cut(value, "=")
	_, noDuration := time.ParseDuration(duration)
	_, noNumber := strconv.Atoi(value)
	switch {
	case !known:
		return fmt.Errorf("%s%s is no fault: expected one of %s", prefix, kind, strings.Join(slices.Sorted(maps.Keys(faults)), ", "))
	case kind == "hostname" && value != "", kind == "reboot-seconds" && noNumber == nil:
		return nil
	case waits && noDuration == nil && slices.Contains(allowed, word+"=DURATION"), !waits && slices.Contains(allowed, value):
		return nil
	}
	return fmt.Errorf("%s%s is %q: expected %s", prefix, kind, value, strings.Join(allowed, ", "))
}

// problem tells what among a machine's annotations looks like a fault and is none; the first by name, or "".
func problem(notes map[string]string) string {
	for _, key := range slices.Sorted(maps.Keys(notes)) {
		kind, ours := strings.CutPrefix(key, prefix)
		if !ours || slices.Contains(written, kind) {
			continue
		}
		if err := valid(kind, notes[key]); err != nil {
			return err.Error()
		}
	}
	return ""
}

func (m *machine) fault(kind string) string { return m.notes[prefix+kind] }

// waiting is the delay that "slow=5s" or "unreachable=5s" asks for; is tells whether the fault is there at all.
func (m *machine) waiting(kind, word string, otherwise time.Duration) (delay time.Duration, is bool) {
	found, text, _ := strings.Cut(m.fault(kind), "=")
	if found != word {
		return 0, false
	}
	if delay, err := time.ParseDuration(text); err == nil {
		return delay, true
	}
	return otherwise, true
}

// unready tells whether a fault keeps this machine's Node from being Ready. Nothing repairs a machine once broken.
func (m *machine) unready() bool { return m.broken || slices.Contains(faults["node"], m.fault("node")) }

// away is how long this machine stays away when it reboots.
func (m *machine) away(otherwise time.Duration) time.Duration {
	if s, err := strconv.Atoi(m.fault("reboot-seconds")); err == nil {
		return time.Duration(s) * time.Second
	}
	return otherwise
}
