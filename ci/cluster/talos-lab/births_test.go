package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"
)

func (w *world) plan(births string) {
	patch := fmt.Sprintf(`{"metadata":{"annotations":{"lab.talos/births":%q}}}`, births)
	if _, err := w.api.Resource(clusterGVR).Namespace("default").Patch(context.Background(), "homelab", types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		w.Fatal(err)
	}
}

// born lets a Machine of this pool come up; nil: not yet.
func (w *world) born(name, pool string, notes map[string]string) *machine {
	labels := map[string]string{clusterLabel: "homelab", "cluster.x-k8s.io/deployment-name": pool}
	if pool == "control-plane" {
		labels = map[string]string{clusterLabel: "homelab", "cluster.x-k8s.io/control-plane": ""}
	}
	obj := w.put(machineGVR, "Machine", name, labels, notes)
	m := &machine{cluster: w.c, uid: types.UID(name), name: name, node: name, more: make(chan struct{}), notes: obj.GetAnnotations()}
	return w.bear(context.Background(), m, obj)
}

func TestBirthsAreUsedUpPoolByPool(t *testing.T) {
	w := newWorld(t)
	w.plan(`{"workers": [{"node": "hung"}, {}, {"node": "broken"}], "homelab-gpu": [{"boot": "stuck"}], "control-plane": [{"etcd": "learner", "apid": "down"}]}`)
	for _, is := range []struct{ name, pool, kind, value string }{
		{"w-1", "homelab-workers", "node", "hung"},
		{"w-2", "homelab-workers", "node", ""},
		{"g-1", "homelab-gpu", "boot", "stuck"}, // its own name goes before "workers"
		{"w-3", "homelab-workers", "node", "broken"},
		{"w-4", "homelab-workers", "node", ""},
		{"cp-1", "control-plane", "etcd", "learner"},
		{"cp-2", "control-plane", "etcd", ""},
	} {
		m := w.born(is.name, is.pool, nil)
		if m.fault(is.kind) != is.value || w.note(machineGVR, is.name, is.kind) != is.value {
			t.Errorf("%s: %s is %q, on the object %q", is.name, is.kind, m.fault(is.kind), w.note(machineGVR, is.name, is.kind))
		}
		if m.bootID == "" || w.note(machineGVR, is.name, "boot-id") != m.bootID {
			t.Errorf("%s: no boot", is.name)
		}
	}
	if left := w.note(clusterGVR, "homelab", "births"); left != "" {
		t.Errorf("left: %s", left)
	}
	if told := w.note(machineGVR, "cp-1", "born"); told != `{"apid":"down","etcd":"learner"}` {
		t.Errorf("born: %s", told)
	}
}

func TestAnObjectStandsForEachBirth(t *testing.T) {
	w := newWorld(t)
	w.plan(`{"control-plane": {"node": "hung"}}`)
	for _, name := range []string{"cp-1", "cp-2", "cp-3"} {
		if m := w.born(name, "control-plane", nil); m.fault("node") != "hung" {
			t.Errorf("%s is well", name)
		}
	}
	if w.born("w-1", "homelab-workers", nil).fault("node") != "" {
		t.Error("a worker with the control plane's fault")
	}
}

func TestATemplatesBirthGoesBeforeTheClusters(t *testing.T) {
	w := newWorld(t)
	w.plan(`{"workers": [{"node": "hung"}]}`)
	if m := w.born("w-1", "homelab-workers", map[string]string{prefix + "born": `{"node": "broken"}`}); m.fault("node") != "broken" {
		t.Errorf("node: %q", m.fault("node"))
	}
	if m := w.born("w-2", "homelab-workers", nil); m.fault("node") != "hung" {
		t.Error("the Cluster's birth was used up by a machine that had its own")
	}
}

func TestABirthThatIsWrongIsToldOnTheMachine(t *testing.T) {
	for births, expected := range map[string]string{
		`{"workers": [{"node": "hungg"}]}`: `lab.talos/node is "hungg": expected not-ready, hung, broken`,
		`{"workers": [{"nod": "hung"}]}`:   "lab.talos/nod is no fault",
		`{"workers": ["hung"]}`:            `expected {"node": "hung"} or [{"node": "hung"}, {}]`,
		`{"workers": []}`:                  `expected {"node": "hung"} or [{"node": "hung"}, {}]`,
		`["hung"]`:                         `expected {"workers": [{"node": "hung"}]}`,
	} {
		w := newWorld(t)
		w.plan(births)
		m := w.born("w-1", "homelab-workers", nil)
		if m == nil || m.unready() {
			t.Fatalf("%s: not born, or with a fault", births)
		}
		if told := w.note(machineGVR, "w-1", "born"); !strings.Contains(told, expected) {
			t.Errorf("%s: born: %s", births, told)
		}
	}
}

func TestABirthIsNotUsedTwice(t *testing.T) {
	w := newWorld(t)
	w.plan(`{"workers": [{"node": "hung"}]}`)
	fail := true
	w.api.PrependReactor("patch", "clusters", func(clienttesting.Action) (bool, runtime.Object, error) {
		return fail, nil, apierrors.NewConflict(clusterGVR.GroupResource(), "homelab", errors.New("somebody else was quicker"))
	})
	if w.born("w-1", "homelab-workers", nil) != nil {
		t.Error("born, though its birth may be somebody else's")
	}
	fail = false
	if m := w.born("w-2", "homelab-workers", nil); m == nil || m.fault("node") != "hung" {
		t.Error("the birth is lost")
	}
	patched := false
	for _, action := range w.api.Actions() {
		if patch, is := action.(clienttesting.PatchAction); is && patch.GetResource() == clusterGVR && strings.Contains(string(patch.GetPatch()), "resourceVersion") {
			patched = true
		}
	}
	if !patched {
		t.Error("what is left of the births is written without a resource version")
	}
}

func TestACopyFromBeforeTheBirthTakesNoFaultAway(t *testing.T) {
	w := newWorld(t)
	w.plan(`{"workers": [{"node": "hung"}]}`)
	m := w.born("w-1", "homelab-workers", nil)
	if w.see(context.Background(), m, &unstructured.Unstructured{}); !m.unready() {
		t.Error("ready")
	}
}
