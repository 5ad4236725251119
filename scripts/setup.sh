#!/usr/bin/env bash
# Installs what a bare Debian 12 lacks. Plain: what building and the demo need. --tests: also what
# scripts/test.sh needs (clang-19, TensorFlow in a virtual environment).
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
  cmake ninja-build g++ ccache
  libabsl-dev libfmt-dev libspdlog-dev libcli11-dev libyaml-cpp-dev nlohmann-json3-dev
  libprotobuf-dev protobuf-compiler libdnnl-dev libhwy-dev
  libxxhash-dev libfarmhash-dev zlib1g-dev libsnappy-dev
  libgrpc++-dev protobuf-compiler-grpc prometheus-cpp-dev libboost1.81-dev libssl-dev libcurl4-openssl-dev
)
test_packages=(
  libgtest-dev libbenchmark-dev clang-19 clang-format-19 libclang-rt-19-dev llvm-19
  python3 python3-venv git openssl iproute2 iptables
  runc containernetworking-plugins conntrack docker.io busybox-static
)
if [ "${1:-}" = "--tests" ]; then packages+=("${test_packages[@]}"); fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  sudo=()
  if [ "$(id -u)" != 0 ]; then sudo=(sudo); fi
  echo "setup: installing ${missing[*]}"
  "${sudo[@]}" apt-get update -q
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}" > /dev/null
fi

if [ "${1:-}" = "--tests" ]; then
  # One environment for all clones of the project, made anew when the list changes.
  venv="$(scripts/venv_path.sh)"
  if [ ! -e "$venv/complete" ]; then
    echo "setup: TensorFlow and pytest into $venv"
    rm -rf "$venv"
    mkdir -p "$(dirname "$venv")"
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check -r tests/requirements.txt
    touch "$venv/complete"
  fi
fi
echo "setup: done"
