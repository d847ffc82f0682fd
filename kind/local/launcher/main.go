// Command launcher is the control plane in one file: etcd, the Kubernetes
// components and kubectl, chosen by the first argument.
//
// It configures nothing: every flag comes from whoever starts it. Two more
// sub-commands serve the harness: `clock-probe` reports how well this Go
// runtime's clock keeps time, `supervise` ties the life of a set of processes to
// the life of the process that started it.
package main

import (
	"fmt"
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"

	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
)

const usage = `usage: launcher COMMAND [ARGUMENTS]

  etcd                      the key-value store
  kube-apiserver            the API server
  kube-controller-manager   the controllers, the HPA among them
  kube-scheduler            the scheduler
  kubectl                   the Kubernetes command line
  clock-probe               report how late this runtime's ticks are
  supervise FILE            start the processes of FILE, end them with the caller
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	name := os.Args[1]
	// The components read their own flags from os.Args.
	os.Args = append([]string{name}, os.Args[2:]...)
	switch name {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(controllermanager.NewControllerManagerCommand()))
	case "kube-scheduler":
		os.Exit(cli.Run(scheduler.NewSchedulerCommand()))
	case "kubectl":
		if cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()) != nil {
			os.Exit(1)
		}
	case "clock-probe":
		os.Exit(clockProbe(os.Args[1:]))
	case "supervise":
		os.Exit(supervise(os.Args[1:]))
	default:
		fmt.Fprintf(os.Stderr, "launcher: unknown command %q\n\n%s", name, usage)
		os.Exit(2)
	}
}
