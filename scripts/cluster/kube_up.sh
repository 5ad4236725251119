#!/usr/bin/env bash
# Boots a Kubernetes of one node (etcd, control plane, containerd, kubelet, kube-proxy, CoreDNS) inside a network
# namespace of its own, so that none of its addresses is reachable from, or known to, the machine around it. Root.
# About 7 s, 700 MB resident.
#   KUBE_DIR  state, logs, kubeconfigs; made anew      KUBE_NS  name of the network namespace
# Afterwards:  nsenter --net=/run/netns/$KUBE_NS kubectl --kubeconfig $KUBE_DIR/admin.kubeconfig get nodes
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
bin="${CAPSTAN_CACHE:-$HOME/.cache/capstan}/cluster/bin"
dir="${KUBE_DIR:-/tmp/capstan-kube}" ns="${KUBE_NS:-capstan-kube}" node=10.250.0.1
feature_gates="${KUBE_FEATURE_GATES:-}" runtime_config="${KUBE_RUNTIME_CONFIG:-}"
export PATH="$bin:/usr/sbin:/usr/bin:/sbin:/bin"
rm -rf "$dir"
mkdir -p "$dir"/{pki,log,etcd,cni,containerd,kubelet,run}

# nsenter, not `ip netns exec`: that mounts /sys anew and hides the control groups from kubelet.
inside() { nsenter --net="/run/netns/$ns" "$@"; }
run() {  # NAME COMMAND...: in the background, its process id is kept
  local name="$1"
  shift
  nsenter --net="/run/netns/$ns" setsid "$@" > "$dir/log/$name.log" 2>&1 < /dev/null &
  echo $! > "$dir/run/$name.pid"
}
await() {  # WHAT TRIES COMMAND...: every quarter of a second
  local what="$1" tries="$2"
  shift 2
  for _ in $(seq "$tries"); do
    if "$@" > /dev/null 2>&1; then return; fi
    sleep 0.25
  done
  echo "kube_up: $what is not there; see $dir/log" >&2
  exit 1
}
kubectl_admin() { inside kubectl --kubeconfig "$dir/admin.kubeconfig" "$@"; }

network() {
  ip netns add "$ns"
  ip -n "$ns" link set lo up
  # A pair of ends is the node's network card: not every kernel has "dummy" devices.
  ip -n "$ns" link add node0 type veth peer name node0p
  ip -n "$ns" link set node0p up
  ip -n "$ns" addr add "$node/24" dev node0
  ip -n "$ns" link set node0 up
  ip -n "$ns" route add default dev node0 src "$node"
  inside sysctl -qw net.ipv4.ip_forward=1
  inside sysctl -qw net.bridge.bridge-nf-call-iptables=1 2> /dev/null || true
}

# Pods' control groups lie beneath one of our own: two kubelets with the same root would end each other's pods.
control_groups() {
  local hierarchy group
  for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
    # Version 2, or one controller of version 1.
    if [ ! -e "$hierarchy/cgroup.procs" ] || [ -L "$hierarchy" ] || [ ! -w "$hierarchy/cgroup.procs" ]; then continue; fi
    if [ -e /sys/fs/cgroup/cgroup.procs ] && [ "$hierarchy" != /sys/fs/cgroup ]; then continue; fi
    group="$hierarchy/$ns"
    mkdir -p "$group"
    if [ -e "$group/cpuset.cpus" ] && [ "$hierarchy" != /sys/fs/cgroup ]; then
      cat "$hierarchy/cpuset.cpus" > "$group/cpuset.cpus"
      cat "$hierarchy/cpuset.mems" > "$group/cpuset.mems"
    fi
  done
}

certificate() {  # NAME SUBJECT [ALTERNATIVE NAMES]
  openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2" 2> /dev/null
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out "$1.crt" \
    -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth' "${3:-DNS:localhost}") 2> /dev/null
}
kubeconfig() {  # USER
  cat > "$dir/$1.kubeconfig" <<END
apiVersion: v1
kind: Config
clusters: [{name: capstan, cluster: {server: "https://127.0.0.1:6443", certificate-authority: $dir/pki/ca.crt}}]
users: [{name: $1, user: {client-certificate: $dir/pki/$1.crt, client-key: $dir/pki/$1.key}}]
contexts: [{name: capstan, context: {cluster: capstan, user: $1}}]
current-context: capstan
END
}
certificates() {
  cd "$dir/pki"
  openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 30 -subj /CN=kube-ca 2> /dev/null
  openssl genrsa -out sa.key 2048 2> /dev/null
  openssl rsa -in sa.key -pubout -out sa.pub 2> /dev/null
  certificate apiserver /CN=kube-apiserver \
    "IP:127.0.0.1,IP:$node,IP:10.96.0.1,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
  certificate admin "/O=system:masters/CN=admin"
  certificate cm /CN=system:kube-controller-manager
  certificate sched /CN=system:kube-scheduler
  certificate kubelet "/O=system:nodes/CN=system:node:node0" "IP:$node,DNS:node0"
  certificate proxy /CN=system:kube-proxy
  for user in admin cm sched kubelet proxy; do kubeconfig "$user"; done
}

control_plane() {
  cd "$dir/pki"
  local gates=()
  if [ -n "$feature_gates" ]; then gates=(--feature-gates="$feature_gates"); fi
  run etcd etcd --data-dir "$dir/etcd" --listen-client-urls http://127.0.0.1:2379 \
    --advertise-client-urls http://127.0.0.1:2379 --unsafe-no-fsync
  run apiserver kube-apiserver --etcd-servers=http://127.0.0.1:2379 --secure-port=6443 --advertise-address=$node \
    --bind-address=0.0.0.0 --service-cluster-ip-range=10.96.0.0/16 --authorization-mode=Node,RBAC \
    --client-ca-file=ca.crt --tls-cert-file=apiserver.crt --tls-private-key-file=apiserver.key \
    --service-account-key-file=sa.pub --service-account-signing-key-file=sa.key \
    --service-account-issuer=https://kubernetes.default.svc --allow-privileged=true \
    --kubelet-preferred-address-types=InternalIP --kubelet-client-certificate=admin.crt \
    --kubelet-client-key=admin.key --cert-dir="$dir/pki" ${runtime_config:+--runtime-config=$runtime_config} "${gates[@]}"
  await "the API server" 240 kubectl_admin get --raw /readyz
  run cm kube-controller-manager --kubeconfig="$dir/cm.kubeconfig" --authentication-kubeconfig="$dir/cm.kubeconfig" \
    --authorization-kubeconfig="$dir/cm.kubeconfig" --service-account-private-key-file=sa.key --root-ca-file=ca.crt \
    --use-service-account-credentials=true --leader-elect=false --allocate-node-cidrs=true \
    --cluster-cidr=10.244.0.0/16 --cluster-signing-cert-file=ca.crt --cluster-signing-key-file=ca.key \
    --cert-dir="$dir/pki" "${gates[@]}"
  run sched kube-scheduler --kubeconfig="$dir/sched.kubeconfig" --authentication-kubeconfig="$dir/sched.kubeconfig" \
    --authorization-kubeconfig="$dir/sched.kubeconfig" --leader-elect=false --cert-dir="$dir/pki" "${gates[@]}"
}

containers() {
  cat > "$dir/cni/10-bridge.conflist" <<END
{"cniVersion":"0.4.0","name":"pods","plugins":[
 {"type":"bridge","bridge":"cni0","isGateway":true,"hairpinMode":true,"ipam":{"type":"host-local",
  "dataDir":"$dir/cni/ipam","ranges":[[{"subnet":"10.244.0.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}]}},
 {"type":"portmap","capabilities":{"portMappings":true}}]}
END
  # restrict_oom_score_adj: a machine without CAP_SYS_RESOURCE may not set the -998 of pause containers.
  cat > "$dir/containerd.toml" <<END
version = 3
root = "$dir/containerd/root"
state = "$dir/containerd/state"
[grpc]
  address = "$dir/run/containerd.sock"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "docker.io/capstan-test/pause:1"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "$dir/cni"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
END
  run containerd containerd -c "$dir/containerd.toml"
  await containerd 120 test -S "$dir/run/containerd.sock"
  gcc -static -Os -o "$dir/pause" "$here/pause.c"
  python3 "$here/pause_image.py" "$dir/pause.tar" "$dir/pause"
  ctr -a "$dir/run/containerd.sock" -n k8s.io images import "$dir/pause.tar" > /dev/null
}

node() {
  # failCgroupV1: kubelet 1.35 and later refuse version 1 of control groups unless told otherwise.
  cat > "$dir/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $dir/pki/ca.crt}}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
cgroupRoot: /$ns
failCgroupV1: false
failSwapOn: false
clusterDNS: ["$node"]
clusterDomain: cluster.local
containerRuntimeEndpoint: "unix://$dir/run/containerd.sock"
tlsCertFile: $dir/pki/kubelet.crt
tlsPrivateKeyFile: $dir/pki/kubelet.key
resolvConf: ""
evictionHard: {memory.available: "100Mi"}
imageGCHighThresholdPercent: 100
localStorageCapacityIsolation: false
podLogsDir: $dir/podlogs
nodeStatusUpdateFrequency: 1s
END
  run kubelet kubelet --config="$dir/kubelet.yaml" --kubeconfig="$dir/kubelet.kubeconfig" --hostname-override=node0 \
    --node-ip=$node --root-dir="$dir/kubelet" --cert-dir="$dir/pki" --v=2
  cat > "$dir/proxy.yaml" <<END
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clusterCIDR: 10.244.0.0/16
clientConnection: {kubeconfig: $dir/proxy.kubeconfig}
hostnameOverride: node0
conntrack: {maxPerCore: 0, min: 0}
END
  run proxy kube-proxy --config="$dir/proxy.yaml"
  cat > "$dir/Corefile" <<END
cluster.local in-addr.arpa {
  bind $node
  errors
  kubernetes {
    kubeconfig $dir/admin.kubeconfig capstan
  }
  cache 5
}
. {
  bind $node
  template ANY ANY {
    rcode NXDOMAIN
  }
}
END
  # Names outside of the cluster do not exist: there is nobody to ask.
  run coredns coredns -conf "$dir/Corefile"
  await "the node" 240 kubectl_admin wait --for=condition=Ready node/node0 --timeout=1s
}

network
control_groups
certificates
control_plane
containers
node
kubectl_admin get nodes
