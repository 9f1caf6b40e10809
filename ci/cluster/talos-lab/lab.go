package main

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

var (
	machineGVR    = schema.GroupVersionResource{Group: "cluster.x-k8s.io", Version: "v1beta2", Resource: "machines"}
	clusterGVR    = schema.GroupVersionResource{Group: "cluster.x-k8s.io", Version: "v1beta2", Resource: "clusters"}
	devMachineGVR = schema.GroupVersionResource{Group: "infrastructure.cluster.x-k8s.io", Version: "v1beta2", Resource: "devmachines"}
	tcpGVR        = schema.GroupVersionResource{Group: "controlplane.cluster.x-k8s.io", Version: "v1alpha3", Resource: "taloscontrolplanes"}
)

// lab is level-triggered: a watch or a timer wakes it, then it compares everything with what it should be. mu guards
// clusters and machines against the API calls; requests to a workload cluster are made without it.
type lab struct {
	kube                       kubernetes.Interface
	dyn                        dynamic.Interface
	namespace, subnet, version string
	reboot, boot, nodeReady    time.Duration
	machineList, devList       cache.GenericLister
	clusterList                cache.GenericLister
	mu                         sync.Mutex
	clusters                   map[string]*cluster
	machines                   map[types.UID]*machine
}

func (l *lab) serve(ctx context.Context) error {
	wake := make(chan struct{}, 1)
	poke := func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(l.dyn, 0, l.namespace, nil)
	for gvr, lister := range map[schema.GroupVersionResource]*cache.GenericLister{
		machineGVR: &l.machineList, devMachineGVR: &l.devList, clusterGVR: &l.clusterList} {
		informer := factory.ForResource(gvr)
		*lister = informer.Lister()
		if _, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { poke() }, UpdateFunc: func(any, any) { poke() }, DeleteFunc: func(any) { poke() }}); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	record("serving", "subnet", l.subnet, "node-ready", l.nodeReady.String())
	for {
		l.observe(ctx)
		for _, c := range slices.Collect(maps.Values(l.clusters)) { // only this goroutine changes the map
			l.tend(ctx, c)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// observe brings machines in line with the Machine and DevMachine objects: a machine is there from the moment its VM is
// provisioned until the DevMachine is deleted.
func (l *lab) observe(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen, used := map[types.UID]bool{}, map[*cluster]bool{}
	objects, _ := l.machineList.List(labels.Everything())
	for _, o := range objects {
		obj := o.(*unstructured.Unstructured)
		found, err := l.devList.ByNamespace(obj.GetNamespace()).Get(get[string](obj, "spec", "infrastructureRef", "name"))
		if err != nil || get[string](obj, "spec", "infrastructureRef", "kind") != "DevMachine" {
			continue
		}
		dev := found.(*unstructured.Unstructured)
		if !get[bool](dev, "status", "initialization", "provisioned") || dev.GetDeletionTimestamp() != nil {
			continue
		}
		m := l.machines[obj.GetUID()]
		if m == nil {
			if m = l.adopt(ctx, obj, dev); m == nil {
				continue
			}
			l.machines[m.uid] = m
			record("machine up", "machine", m.name, "node", m.node, "address", m.addr)
		}
		seen[m.uid], used[m.cluster] = true, true
		if owner, err := l.clusterList.ByNamespace(m.namespace).Get(m.cluster.name); err == nil {
			m.cluster.notes = owner.(*unstructured.Unstructured).GetAnnotations()
		}
		l.see(ctx, m, obj)
	}
	for uid, m := range l.machines {
		if seen[uid] {
			continue
		}
		if e := m.member(); e != nil {
			e.m = nil // it went without leaving etcd
		}
		m.listen(l, "down")
		delete(l.machines, uid)
		record("machine gone", "machine", m.name)
	}
	maps.DeleteFunc(l.clusters, func(_ string, c *cluster) bool { return !used[c] })
}

func get[T any](o *unstructured.Unstructured, path ...string) T {
	v, _, _ := unstructured.NestedFieldNoCopy(o.Object, path...)
	t, _ := v.(T)
	return t
}

// tend does one cluster's share of a round: power, listeners, etcd membership, and the workload cluster's view of it.
func (l *lab) tend(ctx context.Context, c *cluster) {
	nodes := l.nodes(ctx, c)
	var mine []*machine
	l.mu.Lock()
	for _, m := range l.machines {
		if m.cluster != c {
			continue
		}
		mine = append(mine, m)
		l.power(ctx, m)
		c.membership(m, nodes[m.node] != nil, l.subnet)
		m.finishBoot(l.boot)
	}
	c.elect(0)
	l.mu.Unlock()
	if nodes == nil {
		return
	}
	l.mirrorLeader(ctx, c)
	for _, m := range mine {
		l.syncNode(ctx, m, nodes[m.node])
	}
}

// power starts a machine that has been away long enough, and opens or shuts its port.
func (l *lab) power(ctx context.Context, m *machine) {
	if m.down() && time.Since(m.rebootAt) > m.away(l.reboot) {
		m.reboots++
		l.annotate(ctx, m, m.restart())
		record("machine booting", "machine", m.name, "boot-id", m.bootID)
	}
	mode := map[string]string{"down": "down", "maintenance": "maintenance"}[m.fault("apid")]
	if m.down() {
		mode = "down"
	}
	m.listen(l, mode)
}
