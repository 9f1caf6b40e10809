package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

type machine struct {
	*cluster
	uid                                            types.UID
	name, node, addr, provider, kubelet            string
	controlPlane, deleting                         bool
	notes                                          map[string]string // annotations of the Machine
	problem                                        string            // what among them is no fault, though it looks like one
	bootID                                         string
	bootTime, rebootAt                             time.Time
	reboots, rebootCalls                           int
	booted, left, stale, etcdData, serving, broken bool
	mode                                           string
	events                                         []*machineapi.Event
	more                                           chan struct{} // closed and replaced when events grows
	srv                                            *grpc.Server
	socket                                         *socket
}

// adopt makes a machine of a Machine whose VM is provisioned; nil: not now, try again.
func (l *lab) adopt(ctx context.Context, obj, dev *unstructured.Unstructured) *machine {
	c := l.clusterOf(ctx, obj)
	if c == nil {
		return nil
	}
	m := &machine{cluster: c, uid: obj.GetUID(), name: obj.GetName(), node: dev.GetName(), more: make(chan struct{}), notes: obj.GetAnnotations()}
	_, m.controlPlane = obj.GetLabels()["cluster.x-k8s.io/control-plane"]
	m.provider, m.kubelet = get[string](dev, "spec", "providerID"), get[string](obj, "spec", "version")
	if !l.address(ctx, m, dev) {
		return nil
	}
	if m.bootID = m.fault("boot-id"); m.bootID == "" {
		return l.bear(ctx, m, obj)
	}
	// Seen before a restart of talos-lab: its boot is over, and no event tells of it.
	m.booted = true
	m.reboots, _ = strconv.Atoi(m.fault("reboots"))
	m.rebootCalls, _ = strconv.Atoi(m.fault("reboot-calls"))
	m.bootTime, _ = time.Parse(time.RFC3339, m.fault("boot-time"))
	return m
}

// bear starts a machine for the first time, with the faults that it is to have from its first moment.
func (l *lab) bear(ctx context.Context, m *machine, obj *unstructured.Unstructured) *machine {
	var facts map[string]any
	born, err := l.birthOf(ctx, obj)
	if err == nil {
		facts, err = born.facts()
	}
	if wrong := (misplanned{}); errors.As(err, &wrong) { // born without faults, and it says so
		facts = map[string]any{"born": wrong.Error()}
	} else if err != nil {
		record("birth delayed", "machine", m.name, "error", err.Error())
		return nil
	}
	if m.notes == nil {
		m.notes = map[string]string{}
	}
	for kind, value := range facts {
		m.notes[prefix+kind] = value.(string)
	}
	boot := m.restart()
	maps.Copy(boot, facts)
	if !l.annotate(ctx, m, boot) {
		return nil
	}
	record("machine born", "machine", m.name, "node", m.node, "born", m.fault("born"))
	return m
}

// address gives a machine its own, through the infrastructure object: Cluster API copies it into the Machine.
func (l *lab) address(ctx context.Context, m *machine, dev *unstructured.Unstructured) bool {
	if given := get[[]any](dev, "status", "addresses"); len(given) > 0 {
		m.addr, _ = given[0].(map[string]any)["address"].(string)
		return true
	}
	used := map[string]bool{"": true}
	for _, other := range l.machines {
		used[other.addr] = true
	}
	for n := hash(string(m.uid)); used[m.addr]; n++ {
		m.addr = fmt.Sprintf("%s.%d.%d", l.subnet, n/254%254, n%254+1)
	}
	patch := fmt.Sprintf(`{"status":{"addresses":[{"type":"InternalIP","address":%q}]}}`, m.addr)
	_, err := l.dyn.Resource(devMachineGVR).Namespace(m.namespace).Patch(ctx, m.node, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	return err == nil
}

// see takes over what the Machine says now. A copy from before the birth does not know the machine's faults yet.
func (l *lab) see(ctx context.Context, m *machine, obj *unstructured.Unstructured) {
	m.deleting = obj.GetDeletionTimestamp() != nil
	notes := obj.GetAnnotations()
	if notes[prefix+"boot-id"] == "" {
		return
	}
	m.notes, m.broken = notes, m.broken || notes[prefix+"node"] == "broken"
	if found := problem(notes); found != m.problem {
		m.problem = found
		record("problem", "machine", m.name, "problem", found)
		l.annotate(ctx, m, map[string]any{"problem": orNull(found)})
	}
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func (l *lab) annotate(ctx context.Context, m *machine, facts map[string]any) bool {
	prefixed := map[string]any{}
	for k, v := range facts {
		prefixed[prefix+k] = v
	}
	patch, _ := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": prefixed}})
	if _, err := l.dyn.Resource(machineGVR).Namespace(m.namespace).Patch(ctx, m.name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		record("annotation failed", "machine", m.name, "error", err.Error())
		return false
	}
	return true
}

func (m *machine) emit(actor string, event proto.Message) {
	payload, _ := proto.Marshal(event)
	m.events = append(m.events, &machineapi.Event{Id: fmt.Sprintf("%020d", time.Now().UnixNano()), ActorId: actor,
		Data: &anypb.Any{TypeUrl: "talos/runtime/" + string(proto.MessageName(event)), Value: payload}})
	close(m.more)
	m.more = make(chan struct{})
}
