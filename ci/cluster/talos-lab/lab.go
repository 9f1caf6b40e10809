package main

import (
	"context"
	"crypto/tls"
	stdx509 "crypto/x509"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/siderolabs/crypto/x509"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/config/generate/secrets"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
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

type cluster struct {
	namespace, name        string
	notes                  map[string]string          // annotations of the Cluster
	ca                     *x509.CertificateAuthority // the Talos OS authority
	workload               kubernetes.Interface
	bootstrapped           bool
	members                map[uint64]*member // the etcd cluster
	leader, term, mirrored uint64             // mirrored: the leader as written on the backend's etcd pods
}

type member struct {
	id             uint64
	hostname, addr string
	m              *machine // nil once no machine stands behind it: a stale member
}

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

func get[T any](o *unstructured.Unstructured, path ...string) T {
	v, _, _ := unstructured.NestedFieldNoCopy(o.Object, path...)
	t, _ := v.(T)
	return t
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
		m.notes, m.deleting = obj.GetAnnotations(), obj.GetDeletionTimestamp() != nil
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

// clusterOf knows a cluster as soon as its bundle of secrets exists.
func (l *lab) clusterOf(ctx context.Context, obj *unstructured.Unstructured) *cluster {
	c := &cluster{namespace: obj.GetNamespace(), name: obj.GetLabels()[clusterLabel], members: map[uint64]*member{}}
	key := c.namespace + "/" + c.name
	if known := l.clusters[key]; known != nil {
		return known
	}
	bundle, err := loadBundle(ctx, l.kube, c.namespace, c.name)
	if err != nil {
		return nil
	}
	if c.ca, err = x509.NewCertificateAuthorityFromCertificateAndKey(bundle.Certs.OS); err != nil {
		return nil
	}
	// etcd lives in this process: after a restart, the control plane object tells whether it was bootstrapped before.
	if tcps, err := l.dyn.Resource(tcpGVR).Namespace(c.namespace).List(ctx, metav1.ListOptions{}); err == nil {
		for _, tcp := range tcps.Items {
			c.bootstrapped = c.bootstrapped || get[bool](&tcp, "status", "bootstrapped") && slices.ContainsFunc(tcp.GetOwnerReferences(),
				func(r metav1.OwnerReference) bool { return r.Kind == "Cluster" && r.Name == c.name })
		}
	}
	l.clusters[key] = c
	return c
}

func hash(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
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

func (m *machine) member() *member {
	for _, e := range m.members {
		if e.m == m {
			return e
		}
	}
	return nil
}

// up tells whether a member answers its peers.
func (e *member) up() bool {
	return e.m != nil && !e.m.down() && e.m.notes["lab.talos/etcd"] != "unhealthy"
}

func (e *member) learner() bool { return e.m != nil && e.m.notes["lab.talos/etcd"] == "learner" }

// quorum: more than half of the members with a vote are up. Stale members count, as in etcd.
func (c *cluster) quorum() bool {
	voters, up := 0, 0
	for _, e := range c.members {
		if !e.learner() {
			voters++
			if e.up() {
				up++
			}
		}
	}
	return up*2 > voters
}

// elect keeps a leader that is up, else takes the next in line; not is a member that must not become one.
func (c *cluster) elect(not uint64) {
	old := c.leader
	can := func(id uint64) bool {
		e := c.members[id]
		return e != nil && e.up() && !e.learner() && id != not && c.quorum()
	}
	if can(old) {
		return
	}
	c.leader = 0
	if order := slices.DeleteFunc(slices.Sorted(maps.Keys(c.members)), func(id uint64) bool { return !can(id) }); len(order) > 0 {
		c.leader = order[0]
	}
	if c.leader != old {
		c.term++
		record("etcd leader", "cluster", c.name, "node", c.hostname(c.leader))
	}
}

func (c *cluster) hostname(id uint64) string {
	if e := c.members[id]; e != nil {
		return e.hostname
	}
	return ""
}

// remove takes a member out; its machine, if any, keeps running with etcd finished.
func (c *cluster) remove(e *member) {
	delete(c.members, e.id)
	if e.m != nil {
		e.m.left, e.m.etcdData = true, false
	}
	record("etcd leave", "cluster", c.name, "node", e.hostname)
	c.elect(0)
}

// listen puts port 50000 of a machine into a mode: "" serves, "maintenance" presents a certificate that no cluster knows
// and asks for none, "down" refuses connections and cuts those that are open.
func (m *machine) listen(l *lab, mode string) {
	if m.mode == mode && m.serving == (mode != "down") {
		return
	}
	if m.srv != nil {
		m.srv.Stop()
	}
	m.srv, m.mode, m.serving = nil, mode, false
	if mode == "down" {
		return
	}
	ca, auth := m.ca, tls.RequireAndVerifyClientCert
	if mode == "maintenance" {
		ca, _ = secrets.NewTalosCA(time.Now())
		auth = tls.NoClientCert
	}
	clients := stdx509.NewCertPool()
	clients.AddCert(m.ca.Crt)
	pair, err := x509.NewKeyPair(ca, x509.CommonName(m.node), x509.DNSNames([]string{m.node}), x509.IPAddresses([]net.IP{net.ParseIP(m.addr)}))
	var listener net.Listener
	if err == nil {
		listener, err = net.Listen("tcp", net.JoinHostPort(m.addr, "50000"))
	}
	if err != nil {
		record("listen failed", "machine", m.name, "error", err.Error())
		return // not serving: tried again in the next round
	}
	pings := keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true} // Talos clients ping every ten seconds
	m.srv = grpc.NewServer(grpc.UnknownServiceHandler(l.front(m, mode == "maintenance")), grpc.KeepaliveEnforcementPolicy(pings), grpc.Creds(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*pair.Certificate}, ClientCAs: clients, ClientAuth: auth})))
	m.serving = true
	go m.srv.Serve(listener) //nolint:errcheck // ends with Stop
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
		away := l.reboot
		if s, err := strconv.Atoi(m.notes["lab.talos/reboot-seconds"]); err == nil {
			away = time.Duration(s) * time.Second
		}
		if m.down() && time.Since(m.rebootAt) > away {
			m.reboots++
			l.startBoot(ctx, m)
			record("machine booting", "machine", m.name, "boot-id", m.bootID)
		}
		mode := map[string]string{"down": "down", "maintenance": "maintenance"}[m.notes["lab.talos/apid"]]
		if m.down() {
			mode = "down"
		}
		m.listen(l, mode)
		// A control plane machine joins when its kubelet has registered the Node. Joining is a change of the etcd
		// cluster, so it needs quorum; nobody rejoins without a reboot after leaving.
		if c.bootstrapped && m.controlPlane && !m.deleting && !m.left && !m.down() && m.member() == nil &&
			nodes[m.node] != nil && (len(c.members) == 0 || c.quorum()) {
			c.members[hash(string(m.uid))] = &member{id: hash(string(m.uid)), hostname: m.node, addr: m.addr, m: m}
			m.etcdData = true
			record("etcd join", "machine", m.name, "node", m.node)
		}
		if stale := m.notes["lab.talos/etcd"] == "stale-member"; stale != m.stale {
			if m.stale = stale; stale { // once: whoever removes it has removed it
				id := hash(string(m.uid) + "-stale")
				c.members[id] = &member{id: id, hostname: m.node + "-stale", addr: l.subnet + ".255.254"}
			}
		}
		// Talos ends the boot sequence when all services are up, etcd included; it does not wait for the Node.
		if !m.booted && m.rebootAt.IsZero() && time.Since(m.bootTime) > l.boot && m.notes["lab.talos/boot"] != "stuck" && (!m.controlPlane || m.member() != nil) {
			m.booted = true
			m.emit("", &machineapi.SequenceEvent{Sequence: "boot", Action: machineapi.SequenceEvent_STOP})
			m.emit("", &machineapi.MachineStatusEvent{Stage: machineapi.MachineStatusEvent_RUNNING, Status: &machineapi.MachineStatusEvent_MachineStatus{Ready: true}})
		}
	}
	c.elect(0)
	leader, leaderNode := c.leader, c.hostname(c.leader)
	l.mu.Unlock()
	if nodes == nil {
		return
	}
	// The backend keeps its own idea of the leader as an annotation of its etcd pods, and refuses to start a new member
	// when the pod that had it is gone. A kubeadm control plane moves it through etcd; here it follows our table.
	// Update, not Patch: the backend's API server keeps a patched object untyped and can then no longer list its kind.
	if leader != 0 && leader != c.mirrored {
		pods := c.workload.CoreV1().Pods("kube-system")
		if pod, err := pods.Get(ctx, "etcd-"+leaderNode, metav1.GetOptions{}); err == nil {
			metav1.SetMetaDataAnnotation(&pod.ObjectMeta, "etcd.inmemory.infrastructure.cluster.x-k8s.io/leader-from", time.Now().Format(time.RFC3339))
			if _, err := pods.Update(ctx, pod, metav1.UpdateOptions{}); err == nil {
				c.mirrored = leader
			}
		}
	}
	for _, m := range mine {
		l.syncNode(ctx, m, nodes[m.node])
	}
}

// nodes is nil while the workload cluster does not answer.
func (l *lab) nodes(ctx context.Context, c *cluster) map[string]*corev1.Node {
	if c.workload == nil {
		s, err := l.kube.CoreV1().Secrets(c.namespace).Get(ctx, c.name+"-kubeconfig", metav1.GetOptions{})
		if err != nil {
			return nil
		}
		cfg, err := clientcmd.RESTConfigFromKubeConfig(s.Data["value"])
		if err != nil {
			return nil
		}
		cfg.Timeout, cfg.QPS, cfg.Burst = 2*time.Second, 100, 200
		c.workload = kubernetes.NewForConfigOrDie(cfg)
	}
	list, err := c.workload.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	nodes := map[string]*corev1.Node{}
	for i := range list.Items {
		nodes[list.Items[i].Name] = &list.Items[i]
	}
	return nodes
}

// nodeReadyAfter is how long a new Node of this machine's cluster stays NotReady: the Cluster's annotation, else the flag.
func (l *lab) nodeReadyAfter(m *machine) time.Duration {
	if own, err := time.ParseDuration(m.cluster.notes["lab.talos/node-ready"]); err == nil {
		return own
	}
	return l.nodeReady
}

// syncNode writes what a Talos kubelet would report. The backend creates a Node that is Ready at once and leaves an
// existing one alone: with --node-ready, talos-lab registers it first, so that it is NotReady from its first moment.
func (l *lab) syncNode(ctx context.Context, m *machine, node *corev1.Node) {
	l.mu.Lock()
	defer l.mu.Unlock() // the backend is on this machine, and its client gives up after two seconds
	want := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: m.node}, Spec: corev1.NodeSpec{ProviderID: m.provider}}
	if node != nil {
		want = node.DeepCopy()
	} else if l.nodeReadyAfter(m) == 0 || m.deleting {
		return
	} else if m.controlPlane {
		want.Labels = map[string]string{"node-role.kubernetes.io/control-plane": ""}
		want.Spec.Taints = []corev1.Taint{{Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule}}
	}
	info := &want.Status.NodeInfo
	info.BootID, info.MachineID, info.KubeletVersion, info.OSImage = m.bootID, string(m.uid), m.kubelet, "Talos ("+l.version+")"
	want.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: m.addr}, {Type: corev1.NodeHostName, Address: m.node}}
	status, reason := corev1.ConditionFalse, "KubeletNotReady"
	if node != nil && time.Since(node.CreationTimestamp.Time) >= l.nodeReadyAfter(m) && m.rebootAt.IsZero() &&
		(m.booted || m.reboots == 0) && m.notes["lab.talos/node"] != "not-ready" && m.notes["lab.talos/node"] != "hung" {
		status, reason = corev1.ConditionTrue, "KubeletReady"
	}
	for _, is := range []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status, Reason: reason},
		{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientMemory"},
		{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasNoDiskPressure"},
		{Type: corev1.NodePIDPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientPID"}} {
		is.LastTransitionTime = metav1.Now()
		if i := slices.IndexFunc(want.Status.Conditions, func(n corev1.NodeCondition) bool { return n.Type == is.Type }); i < 0 {
			want.Status.Conditions = append(want.Status.Conditions, is)
		} else if want.Status.Conditions[i].Status != is.Status {
			want.Status.Conditions[i] = is
		}
	}
	if node == nil {
		_, _ = m.workload.CoreV1().Nodes().Create(ctx, want, metav1.CreateOptions{})
	} else if !equality.Semantic.DeepEqual(node, want) {
		_, _ = m.workload.CoreV1().Nodes().Update(ctx, want, metav1.UpdateOptions{}) // a conflict is seen again in the next round
	}
}
