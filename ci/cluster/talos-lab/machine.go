package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
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
	uid                                    types.UID
	name, node, addr, provider, kubelet    string
	controlPlane, deleting                 bool
	notes                                  map[string]string // annotations of the Machine
	bootID                                 string
	bootTime, rebootAt                     time.Time
	reboots                                int
	booted, left, stale, etcdData, serving bool
	mode                                   string
	events                                 []*machineapi.Event
	more                                   chan struct{} // closed and replaced when events grows
	srv                                    *grpc.Server
}

// adopt gives a machine its address, through the infrastructure object: Cluster API copies it into the Machine.
func (l *lab) adopt(ctx context.Context, obj, dev *unstructured.Unstructured) *machine {
	c := l.clusterOf(ctx, obj)
	if c == nil {
		return nil
	}
	m := &machine{cluster: c, uid: obj.GetUID(), name: obj.GetName(), node: dev.GetName(), more: make(chan struct{}), notes: obj.GetAnnotations()}
	_, m.controlPlane = obj.GetLabels()["cluster.x-k8s.io/control-plane"]
	m.provider, m.kubelet = get[string](dev, "spec", "providerID"), get[string](obj, "spec", "version")
	if given := get[[]any](dev, "status", "addresses"); len(given) > 0 {
		m.addr, _ = given[0].(map[string]any)["address"].(string)
	} else {
		used := map[string]bool{"": true}
		for _, other := range l.machines {
			used[other.addr] = true
		}
		for n := hash(string(m.uid)); used[m.addr]; n++ {
			m.addr = fmt.Sprintf("%s.%d.%d", l.subnet, n/254%254, n%254+1)
		}
		patch := fmt.Sprintf(`{"status":{"addresses":[{"type":"InternalIP","address":%q}]}}`, m.addr)
		if _, err := l.dyn.Resource(devMachineGVR).Namespace(c.namespace).Patch(ctx, m.node, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status"); err != nil {
			return nil
		}
	}
	if m.bootID = m.notes["lab.talos/boot-id"]; m.bootID == "" {
		l.startBoot(ctx, m)
	} else { // seen before a restart of talos-lab: its boot is over, and no event tells of it
		m.booted = true
		m.reboots, _ = strconv.Atoi(m.notes["lab.talos/reboots"])
		m.bootTime, _ = time.Parse(time.RFC3339, m.notes["lab.talos/boot-time"])
	}
	return m
}

// startBoot forgets what a real machine forgets when it restarts, and writes the new boot on the Machine.
func (l *lab) startBoot(ctx context.Context, m *machine) {
	if m.reboots > 0 && m.notes["lab.talos/node"] == "hung" { // the one fault that a reboot heals
		delete(m.notes, "lab.talos/node")
		l.annotate(ctx, m, map[string]any{"node": nil})
	}
	m.bootID, m.bootTime, m.rebootAt, m.booted, m.left, m.events = uuid.NewString(), time.Now(), time.Time{}, false, false, nil
	m.emit("", &machineapi.SequenceEvent{Sequence: "boot", Action: machineapi.SequenceEvent_START})
	l.annotate(ctx, m, map[string]any{"boot-id": m.bootID, "boot-time": m.bootTime.UTC().Format(time.RFC3339), "reboots": strconv.Itoa(m.reboots)})
}

func (l *lab) annotate(ctx context.Context, m *machine, facts map[string]any) {
	prefixed := map[string]any{}
	for k, v := range facts {
		prefixed["lab.talos/"+k] = v
	}
	patch, _ := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": prefixed}})
	if _, err := l.dyn.Resource(machineGVR).Namespace(m.namespace).Patch(ctx, m.name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		record("annotation failed", "machine", m.name, "error", err.Error())
	}
}

func (m *machine) emit(actor string, event proto.Message) {
	payload, _ := proto.Marshal(event)
	m.events = append(m.events, &machineapi.Event{Id: fmt.Sprintf("%020d", time.Now().UnixNano()), ActorId: actor,
		Data: &anypb.Any{TypeUrl: "talos/runtime/" + string(proto.MessageName(event)), Value: payload}})
	close(m.more)
	m.more = make(chan struct{})
}

// down tells whether the machine is away for a reboot.
func (m *machine) down() bool { return !m.rebootAt.IsZero() && time.Now().After(m.rebootAt) }
