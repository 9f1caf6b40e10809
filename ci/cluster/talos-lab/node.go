package main

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

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
	if own, err := time.ParseDuration(m.cluster.notes[prefix+"node-ready"]); err == nil {
		return own
	}
	return l.nodeReady
}

// syncNode writes what a Talos kubelet would report. The backend creates a Node that is Ready at once and leaves an
// existing one alone: with --node-ready, or a fault, talos-lab registers it first, NotReady from its first moment.
func (l *lab) syncNode(ctx context.Context, m *machine, node *corev1.Node) {
	l.mu.Lock()
	defer l.mu.Unlock() // the backend is on this machine, and its client gives up after two seconds
	want := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: m.node}, Spec: corev1.NodeSpec{ProviderID: m.provider}}
	if node != nil {
		want = node.DeepCopy()
	} else if l.nodeReadyAfter(m) == 0 && !m.unready() || m.deleting {
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
		(m.booted || m.reboots == 0) && !m.unready() {
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

// mirrorLeader: the backend keeps its own idea of the leader as an annotation of its etcd pods, and refuses to start a
// new member when the pod that had it is gone. A kubeadm control plane moves it through etcd; here it follows our table.
// Update, not Patch: the backend's API server keeps a patched object untyped and can then no longer list its kind.
func (l *lab) mirrorLeader(ctx context.Context, c *cluster) {
	l.mu.Lock()
	leader, node := c.leader, c.hostname(c.leader)
	l.mu.Unlock()
	if leader == 0 || leader == c.mirrored {
		return
	}
	pods := c.workload.CoreV1().Pods("kube-system")
	pod, err := pods.Get(ctx, "etcd-"+node, metav1.GetOptions{})
	if err != nil {
		return // there is none yet: the next round tries again
	}
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, "etcd.inmemory.infrastructure.cluster.x-k8s.io/leader-from", time.Now().Format(time.RFC3339))
	if _, err := pods.Update(ctx, pod, metav1.UpdateOptions{}); err == nil {
		c.mirrored = leader
	}
}
