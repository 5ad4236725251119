#!/usr/bin/env bash
# Ends what kube_up.sh started, by the process ids that it wrote down, and removes its network namespaces and mounts.
bin="${CAPSTAN_CACHE:-$HOME/.cache/capstan}/cluster/bin"
dir="${KUBE_DIR:-/tmp/capstan-kube}" ns="${KUBE_NS:-capstan-kube}"
socket="$dir/run/containerd.sock"
[ -d "$dir/run" ] || exit 0

end() {  # SIGNAL NAME...
  local signal="$1" name pid
  shift
  for name in "$@"; do
    pid="$(cat "$dir/run/$name.pid" 2> /dev/null)" && kill "-$signal" "$pid" 2> /dev/null
  done
}
# The pods' network namespaces, as containerd knows them.
pod_networks() {
  local id
  for id in $("$bin/ctr" -a "$socket" -n k8s.io containers ls -q 2> /dev/null); do
    "$bin/ctr" -a "$socket" -n k8s.io containers info "$id" 2> /dev/null
  done | grep -o 'netns/cni-[0-9a-f-]*' | sed 's#netns/##' | sort -u
}

end TERM kubelet proxy coredns sched cm
networks="$(pod_networks)"
sleep 0.5
# Containers: the shim of each names our containerd's socket in its command line.
for process in /proc/[0-9]*; do
  { tr '\0' ' ' < "$process/cmdline"; } 2> /dev/null | grep -q "containerd-shim-runc-v2 .*$socket" || continue
  for child in $(pgrep -P "${process#/proc/}"); do kill -9 "$child"; done
  kill -9 "${process#/proc/}"
done
# The API server would wait a minute for those who watch; nothing of it is kept.
end KILL apiserver etcd
end TERM containerd
sleep 1
awk -v dir="$dir/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r | while read -r mount; do umount -l "$mount"; done
for network in $networks; do ip netns del "$network" 2> /dev/null; done
ip netns del "$ns" 2> /dev/null
# Control groups, the innermost first.
find /sys/fs/cgroup -mindepth 1 -depth -type d -path "*/$ns*" -exec rmdir {} + 2> /dev/null
rm -rf "$dir"
