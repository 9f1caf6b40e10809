package main

import (
	"context"
	"hash/fnv"
	"slices"

	"github.com/siderolabs/crypto/x509"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
)

type cluster struct {
	namespace, name        string
	notes                  map[string]string          // annotations of the Cluster
	ca                     *x509.CertificateAuthority // the Talos OS authority
	workload               kubernetes.Interface
	bootstrapped           bool
	members                map[uint64]*member // the etcd cluster
	leader, term, mirrored uint64             // mirrored: the leader as written on the backend's etcd pods
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
