// talos-lab gives Cluster API's in-memory machines (DevMachine, backend.inMemory) what the Talos providers
// expect of real ones, so that the real TalosControlPlane controller bootstraps, heals and rolls them:
//
//	talos-lab secrets --cluster NAME [--namespace NS]   RSA certificate authorities, before the Cluster is applied
//	talos-lab serve [--namespace NS]                    addresses, and a Talos machine API on each of them
//
// Faults and facts are annotations on the Machine, in README.md. What is where: lab.go the rounds, machine.go and power.go
// a machine and its boots, faults.go and births.go what is wrong with it, etcd.go the table of members, node.go the
// workload cluster's view, listen.go the port, door.go who may call what, methods.go, *_call.go and services.go the answers.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const clusterLabel = "cluster.x-k8s.io/cluster-name"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "talos-lab:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: talos-lab secrets|serve [flags]")
	}
	flags := flag.NewFlagSet(args[0], flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "management cluster (default: $KUBECONFIG)")
	clusterName := flags.String("cluster", "", "secrets: name of the Cluster")
	l := &lab{clusters: map[string]*cluster{}, machines: map[types.UID]*machine{}}
	flags.StringVar(&l.namespace, "namespace", "", "namespace (secrets: default; serve: all)")
	flags.StringVar(&l.subnet, "subnet", "127.90", "serve: first two octets of the machines' addresses")
	flags.StringVar(&l.version, "talos-version", "v1.12.4", "serve: version that the machines report")
	flags.DurationVar(&l.reboot, "reboot", 15*time.Second, "serve: how long a rebooted machine stays away")
	flags.DurationVar(&l.boot, "boot", 3*time.Second, "serve: from the API answering to the end of the boot sequence")
	flags.DurationVar(&l.nodeReady, "node-ready", 0, "serve: how long a new Node stays NotReady (a CNI starting)")
	_ = flags.Parse(args[1:])
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = *kubeconfig
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return err
	}
	cfg.QPS, cfg.Burst = 100, 200
	l.kube, l.dyn = kubernetes.NewForConfigOrDie(cfg), dynamic.NewForConfigOrDie(cfg)
	switch {
	case args[0] == "serve":
		return l.serve(ctx)
	case args[0] == "secrets" && *clusterName != "":
		if l.namespace == "" {
			l.namespace = metav1.NamespaceDefault
		}
		return createSecrets(ctx, l.kube, l.namespace, *clusterName)
	}
	return fmt.Errorf("unknown command %q, or --cluster is missing", args[0])
}
