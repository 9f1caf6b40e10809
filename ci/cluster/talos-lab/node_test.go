package main

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func (w *world) readiness(m *machine) corev1.ConditionStatus {
	ctx := context.Background()
	for range 2 { // the first round registers the Node
		w.syncNode(ctx, m, w.nodes(ctx, w.c)[m.node])
	}
	node := w.nodes(ctx, w.c)[m.node]
	if node == nil {
		return "absent"
	}
	for _, each := range node.Status.Conditions {
		if each.Type == corev1.NodeReady {
			return each.Status
		}
	}
	return "unsaid"
}

func TestAMachineBornHungIsNotReadyFromItsFirstMoment(t *testing.T) {
	w := newWorld(t)
	w.c.workload = fake.NewClientset()
	w.plan(`{"workers": [{"node": "hung"}]}`)
	hung, well := w.born("w-1", "homelab-workers", nil), w.born("w-2", "homelab-workers", nil)
	if is := w.readiness(well); is != "absent" {
		t.Errorf("the backend registers healthy Nodes, not talos-lab: %s", is)
	}
	if is := w.readiness(hung); is != corev1.ConditionFalse {
		t.Errorf("Ready is %s", is)
	}
	hung.powerOff("", 0)
	if is := w.readiness(hung); is != corev1.ConditionFalse {
		t.Errorf("Ready is %s while it is away", is)
	}
	w.rebooted(hung)
	hung.finishBoot(0)
	if is := w.readiness(hung); is != corev1.ConditionTrue {
		t.Errorf("Ready is %s after the reboot", is)
	}
}

func TestABrokenMachineIsNotReadyAfterAReboot(t *testing.T) {
	w := newWorld(t)
	w.c.workload = fake.NewClientset()
	m := w.machine("w-1", false)
	m.notes[prefix+"node"] = "broken"
	for range 2 {
		if is := w.readiness(m); is != corev1.ConditionFalse {
			t.Errorf("Ready is %s", is)
		}
		m.powerOff("", 0)
		w.rebooted(m)
		m.finishBoot(0)
	}
}
