#!/usr/bin/env bash
# Builds build/capstan and build/capstan-task.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake -S . -B build -G Ninja -DCAPSTAN_TESTS=OFF -DCAPSTAN_BENCH=OFF > build.log 2>&1 || { cat build.log; exit 1; }
rm -f build.log
ninja -C build --quiet capstan capstan-task
echo "built build/capstan"
