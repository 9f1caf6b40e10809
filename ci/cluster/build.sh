#!/usr/bin/env bash
# Build the programs of the test cluster from the Go module proxy, once per pin; results live outside the repository.
#
#   ci/cluster/build.sh GROUP...      api: etcd k8s · argo · capi talos lab · events nats · tools (kustomize, sops, age) · talosctl
#   PRINT_BIN=1 ci/cluster/build.sh   only print the folder of the binaries
#
# Cold on two cores: etcd+k8s 4.5, argo 3.5, capi 2, talos 2.3, lab 1, events 2.4, tools 1.1, talosctl 5 minutes.
# After changing a pin run once with MOD=mod: it fills in the wrapper's go.mod and go.sum, and brings them back here.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/versions.env"
bin=${CLUSTER_BIN:-${XDG_CACHE_HOME:-$HOME/.cache}/capi-rollout/bin}
mod=${MOD:-readonly}
[ -z "${PRINT_BIN:-}" ] || { echo "$bin"; exit; }
mkdir -p "$bin/.stamps" "$bin/.wrap"
export GOTOOLCHAIN=local CGO_ENABLED=0

fail() { printf 'build.sh: %s\n' "$*" >&2; exit 1; }
needs_build() { # GROUP KEY: false when this group stands at this key already; says what is about to be built
  [ "$(cat "$bin/.stamps/$1" 2> /dev/null)" != "$2" ] || return 1
  command -v go > /dev/null || fail "no go on PATH, but $1 has to be built: install Go 1.26 or newer"
  printf '== building %s %s\n' "$1" "$2" >&2
}
built() { printf '%s' "$2" > "$bin/.stamps/$1"; }
enter() { # WRAPPER: work in a scratch copy
  rm -rf "$bin/.wrap/$1"; cp -r "$here/wrappers/$1" "$bin/.wrap/$1"; cd "$bin/.wrap/$1"
}
keep() { [ "$mod" != mod ] || cp "$bin/.wrap/$1/go.mod" "$bin/.wrap/$1/go.sum" "$here/wrappers/$1/"; }
gobuild() { go build -mod="$mod" -trimpath "$@"; }
install_tool() { GOBIN="$bin" go install -trimpath -ldflags '-s -w' "$@"; }
moddir() { # MODULE@VERSION: its folder in the module cache
  (cd / && go mod download -json "$1") | sed -n 's/.*"Dir": "\(.*\)".*/\1/p'
}

k8s_ldflags() { # without the stamp the server says v0.0.0-master, and Cluster API refuses to start
  local v=${K8S_VERSION#v} package flags="-s -w"
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags="$flags -X $package.gitVersion=v$v -X $package.gitMajor=${v%%.*} -X $package.gitMinor=$(cut -d. -f2 <<< "$v")"
    flags="$flags -X $package.gitTreeState=clean -X $package.gitCommit=unknown -X $package.buildDate=1970-01-01T00:00:00Z"
  done
  printf '%s' "$flags"
}
build_etcd() {
  needs_build etcd "$ETCD_VERSION" || return 0
  enter etcd; sed -i -E "s#(go.etcd.io/etcd/server/v3) v3[^ ]*#\1 $ETCD_VERSION#" go.mod
  gobuild -ldflags '-s -w' -o "$bin/etcd" go.etcd.io/etcd/server/v3
  keep etcd; built etcd "$ETCD_VERSION"
}
build_k8s() {
  needs_build k8s "$K8S_VERSION" || return 0
  enter k8s; sed -i -E "s|(k8s.io/kubernetes) v1\..*|\1 $K8S_VERSION|; s|(=> k8s.io/[a-z-]+) v0\..*|\1 v0.${K8S_VERSION#v1.}|" go.mod
  local program packages=()
  for program in kube-apiserver kube-controller-manager kube-scheduler kubelet kubectl; do packages+=("k8s.io/kubernetes/cmd/$program"); done
  gobuild -ldflags "$(k8s_ldflags)" -o "$bin/" "${packages[@]}"
  keep k8s; built k8s "$K8S_VERSION"
}
build_argo() { # not a wrapper: module zips carry no symbolic links, and signal_linux.go of the executor is one
  needs_build argo "$ARGO_WF_VERSION" || return 0
  local module=github.com/argoproj/argo-workflows/v3 source="$bin/.wrap/argo"
  rm -rf "$source"; cp -r "$(moddir "$module@$ARGO_WF_VERSION")" "$source"; chmod -R u+w "$source"; cd "$source"
  ln -sf signal_darwin.go workflow/executor/osspecific/signal_linux.go
  mkdir -p ui/dist/app; echo 'built without the web interface' > ui/dist/app/index.html   # embedded by cmd/argo
  go build -trimpath -ldflags "-s -w -X $module.version=$ARGO_WF_VERSION" -o "$bin/" ./cmd/workflow-controller ./cmd/argoexec ./cmd/argo
  built argo "$ARGO_WF_VERSION"
}
build_capi() {
  needs_build capi "$CAPI_VERSION" || return 0
  enter capi; sed -i -E "s#(sigs.k8s.io/cluster-api(/api|/test)?) v1[^ ]*#\1 $CAPI_VERSION#" go.mod
  local v=sigs.k8s.io/cluster-api/version
  local flags="-s -w -X $v.gitVersion=$CAPI_VERSION -X $v.gitMajor=1 -X $v.gitMinor=$(cut -d. -f2 <<< "$CAPI_VERSION")"
  gobuild -ldflags "$flags" -o "$bin/capi-core" sigs.k8s.io/cluster-api/core
  gobuild -ldflags "$flags" -o "$bin/capi-cabpk" sigs.k8s.io/cluster-api/bootstrap/kubeadm
  gobuild -ldflags "$flags" -o "$bin/capi-kcp" sigs.k8s.io/cluster-api/controlplane/kubeadm
  gobuild -ldflags "$flags" -o "$bin/capi-dev-infra" sigs.k8s.io/cluster-api/test/infrastructure/docker
  keep capi; built capi "$CAPI_VERSION"
}
build_talos() {
  needs_build talos "$CABPT_VERSION $CACPPT_VERSION" || return 0
  enter talos
  sed -i -E "s|(bootstrap-provider-talos) v0.*|\1 $CABPT_VERSION|; s|(control-plane-provider-talos) v0.*|\1 $CACPPT_VERSION|" go.mod
  gobuild -ldflags '-s -w' -o "$bin/capi-cabpt" github.com/siderolabs/cluster-api-bootstrap-provider-talos
  gobuild -ldflags '-s -w' -o "$bin/capi-cacppt" github.com/siderolabs/cluster-api-control-plane-provider-talos
  keep talos; built talos "$CABPT_VERSION $CACPPT_VERSION"
}
build_talosctl() { # its go.sum is the Talos module's own: the public checksum database lacks two dependencies
  needs_build talosctl "$TALOSCTL_VERSION" || return 0
  enter talosctl
  gobuild -ldflags "-s -w -X github.com/siderolabs/talos/pkg/machinery/version.Tag=$TALOSCTL_VERSION" \
    -o "$bin/talosctl" github.com/siderolabs/talos/cmd/talosctl
  built talosctl "$TALOSCTL_VERSION"
}
build_lab() { # our own program: the key is its content, tests left out
  local key; key=$(cd "$here/talos-lab" && find . -name '*.go' ! -name '*_test.go' | sort | xargs cat go.mod go.sum | sha256sum | cut -c1-16)
  needs_build lab "$key" || return 0
  cd "$here/talos-lab"; gobuild -ldflags '-s -w' -o "$bin/talos-lab" .
  built lab "$key"
}
build_events() {
  needs_build events "$ARGO_EVENTS_VERSION" || return 0
  local module=github.com/argoproj/argo-events
  enter events; sed -i "s|argo-events v1.*|argo-events $ARGO_EVENTS_VERSION|" go.mod
  gobuild -ldflags "-s -w -X $module.version=$ARGO_EVENTS_VERSION" -o "$bin/argo-events" "$module/cmd"
  keep events; built events "$ARGO_EVENTS_VERSION"
}
build_nats() { # the bus of Argo Events; the version that its 1.9.11 names "latest"
  needs_build nats "$NATS_VERSION" || return 0
  install_tool "github.com/nats-io/nats-server/v2@$NATS_VERSION"
  built nats "$NATS_VERSION"
}
build_tools() {
  needs_build tools "$KUSTOMIZE_VERSION $SOPS_VERSION $AGE_VERSION" || return 0
  install_tool "sigs.k8s.io/kustomize/kustomize/v5@$KUSTOMIZE_VERSION"
  install_tool "github.com/getsops/sops/v3/cmd/sops@$SOPS_VERSION"
  install_tool "filippo.io/age/cmd/age@$AGE_VERSION" "filippo.io/age/cmd/age-keygen@$AGE_VERSION"
  built tools "$KUSTOMIZE_VERSION $SOPS_VERSION $AGE_VERSION"
}

[ $# -gt 0 ] || fail "name one or more groups: etcd k8s argo capi talos lab events nats tools talosctl"
for group in "$@"; do
  declare -F "build_$group" > /dev/null || fail "unknown group $group (etcd k8s argo capi talos lab events nats tools talosctl)"
  exec 9> "$bin/.lock-$group"; flock 9                      # two builds of the same thing would trample each other
  ("build_$group")
done
