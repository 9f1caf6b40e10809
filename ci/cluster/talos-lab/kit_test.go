package main

import (
	"context"
	"crypto/tls"
	stdx509 "crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/siderolabs/crypto/x509"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/config/generate/secrets"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/fake"
)

func TestMain(m *testing.M) {
	journal = io.Discard
	os.Exit(m.Run())
}

// world is a lab with one cluster, whose objects are kept by a fake API.
type world struct {
	*lab
	*testing.T
	c   *cluster
	api *fake.FakeDynamicClient
}

func newWorld(t *testing.T) *world {
	t.Helper()
	api := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		machineGVR: "MachineList", clusterGVR: "ClusterList", devMachineGVR: "DevMachineList"})
	ca, err := secrets.NewTalosCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{namespace: "default", name: "homelab", ca: ca, bootstrapped: true, members: map[uint64]*member{}}
	l := &lab{dyn: api, subnet: "127.90", version: "v1.12.4", reboot: time.Hour, clusters: map[string]*cluster{"default/homelab": c}, machines: map[types.UID]*machine{}}
	w := &world{lab: l, T: t, c: c, api: api}
	w.put(clusterGVR, "Cluster", "homelab", nil, nil)
	return w
}

func (w *world) put(gvr schema.GroupVersionResource, kind, name string, labels, notes map[string]string) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{}
	obj.SetAPIVersion(gvr.GroupVersion().String())
	obj.SetKind(kind)
	obj.SetNamespace("default")
	obj.SetName(name)
	obj.SetUID(types.UID(name))
	obj.SetLabels(labels)
	obj.SetAnnotations(notes)
	if err := w.api.Tracker().Create(gvr, obj, "default"); err != nil {
		w.Fatal(err)
	}
	return obj
}

// machine adds one that has booted once; a control plane machine has joined etcd too.
func (w *world) machine(name string, controlPlane bool) *machine {
	w.put(machineGVR, "Machine", name, nil, nil)
	m := &machine{cluster: w.c, uid: types.UID(name), name: name, node: "node-" + name, controlPlane: controlPlane,
		notes: map[string]string{}, more: make(chan struct{}), mode: "down"}
	// An address of this process' own: tests of several worktrees may run at once.
	m.addr = fmt.Sprintf("127.%d.%d.%d", 100+os.Getpid()/250%100, os.Getpid()%250, len(w.machines)+1)
	m.restart()
	m.booted = true
	w.machines[m.uid] = m
	if controlPlane {
		w.c.membership(m, true, w.subnet)
	}
	w.c.elect(0)
	w.Cleanup(func() { m.listen(w.lab, "down") })
	return m
}

func (w *world) note(gvr schema.GroupVersionResource, name, key string) string {
	obj, err := w.api.Resource(gvr).Namespace("default").Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	return obj.GetAnnotations()[prefix+key]
}

// rebooted lets the machine come back from a reboot that has begun.
func (w *world) rebooted(m *machine) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.rebootAt.IsZero() {
		w.Fatalf("%s does not reboot", m.name)
	}
	m.rebootAt = time.Now().Add(-2 * w.reboot)
	w.power(context.Background(), m)
	m.listen(w.lab, "down")
}

// dial opens the Talos API of a machine with a certificate of these roles.
func (w *world) dial(m *machine, roles ...role.Role) machineapi.MachineServiceClient {
	w.mu.Lock()
	m.listen(w.lab, "")
	w.mu.Unlock()
	if !m.serving {
		w.Fatalf("%s: port %s is taken", m.addr, port)
	}
	pair, err := x509.NewKeyPair(w.c.ca, x509.Organization(role.MakeSet(roles...).Strings()...),
		x509.ExtKeyUsage([]stdx509.ExtKeyUsage{stdx509.ExtKeyUsageClientAuth}))
	if err != nil {
		w.Fatal(err)
	}
	known := stdx509.NewCertPool()
	known.AddCert(w.c.ca.Crt)
	return w.connect(m, &tls.Config{RootCAs: known, Certificates: []tls.Certificate{*pair.Certificate}})
}

func (w *world) connect(m *machine, config *tls.Config) machineapi.MachineServiceClient {
	conn, err := grpc.NewClient(net.JoinHostPort(m.addr, port), grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = conn.Close() })
	return machineapi.NewMachineServiceClient(conn)
}

// to asks the machine at the other end to forward.
func to(m *machine) context.Context {
	return metadata.AppendToOutgoingContext(context.Background(), "node", m.addr)
}
