package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestAFaultIsOneOfTheTable(t *testing.T) {
	for _, right := range [][2]string{{"node", "broken"}, {"apid", "slow"}, {"apid", "slow=3s"}, {"etcd", "unreachable=1m"}, {"reboot", "lost"},
		{"stage", "upgrading"}, {"hostname", "other"}, {"reboot-seconds", "40"}} {
		if err := valid(right[0], right[1]); err != nil {
			t.Errorf("%v: %v", right, err)
		}
	}
	for _, wrong := range [][2]string{{"node", "hungg"}, {"node", ""}, {"nod", "hung"}, {"apid", "slow=3"}, {"apid", "down=3s"}, {"stage", "asleep"},
		{"hostname", ""}, {"reboot-seconds", "40s"}, {"apid", "slow=DURATION"}} {
		if err := valid(wrong[0], wrong[1]); err == nil {
			t.Errorf("%v passed", wrong)
		}
	}
}

func TestAMisspeltFaultIsWrittenOnTheMachine(t *testing.T) {
	w := newWorld(t)
	m := w.machine("w-1", false)
	see := func(node string) {
		obj := &unstructured.Unstructured{}
		obj.SetAnnotations(map[string]string{prefix + "boot-id": m.bootID, prefix + "node": node})
		w.see(context.Background(), m, obj)
	}
	see("hungg")
	if told := w.note(machineGVR, "w-1", "problem"); !strings.Contains(told, `lab.talos/node is "hungg": expected not-ready, hung, broken`) {
		t.Errorf("problem: %q", told)
	}
	if m.unready() {
		t.Error("a fault that does not exist has an effect")
	}
	obj := &unstructured.Unstructured{}
	obj.SetAnnotations(map[string]string{prefix + "boot-id": m.bootID, prefix + "nod": "hung"})
	if w.see(context.Background(), m, obj); !strings.Contains(w.note(machineGVR, "w-1", "problem"), "lab.talos/nod is no fault: expected one of apid, boot") {
		t.Errorf("problem: %q", w.note(machineGVR, "w-1", "problem"))
	}
	if see("hung"); w.note(machineGVR, "w-1", "problem") != "" || !m.unready() {
		t.Error("a problem that is gone is still told, or the fault does nothing")
	}
}

func TestARebootHealsWhatHangsOnly(t *testing.T) {
	for fault, ready := range map[string]bool{"hung": true, "broken": false, "not-ready": false} {
		w := newWorld(t)
		m := w.machine("w-1", false)
		obj := &unstructured.Unstructured{}
		obj.SetAnnotations(map[string]string{prefix + "boot-id": m.bootID, prefix + "node": fault})
		if w.see(context.Background(), m, obj); !m.unready() {
			t.Errorf("%s: ready", fault)
		}
		m.powerOff("", 0)
		if w.rebooted(m); m.unready() == ready {
			t.Errorf("%s: ready is %v after a reboot", fault, !ready)
		}
	}
}

func TestNothingRepairsABrokenMachine(t *testing.T) {
	w := newWorld(t)
	m := w.machine("w-1", false)
	obj := &unstructured.Unstructured{}
	for _, notes := range []map[string]string{{prefix + "node": "broken"}, {}} {
		notes[prefix+"boot-id"] = m.bootID
		obj.SetAnnotations(notes)
		if w.see(context.Background(), m, obj); !m.unready() {
			t.Error("ready")
		}
	}
}

func TestABootThatIsStuckDoesNotEnd(t *testing.T) {
	m := newWorld(t).machine("w-1", false)
	m.restart()
	m.notes[prefix+"boot"] = "stuck"
	if m.finishBoot(0); m.booted {
		t.Error("stuck, and over")
	}
	delete(m.notes, prefix+"boot")
	if m.finishBoot(time.Hour); m.booted {
		t.Error("over before its time")
	}
	if m.finishBoot(0); !m.booted {
		t.Error("not over")
	}
}
