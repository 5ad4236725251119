#!/usr/bin/env bash
# Prints where the tests' Python environment is: a folder that the list of requirements names.
set -euo pipefail
cd "$(dirname "$0")/.."
echo "${CAPSTAN_CACHE:-$HOME/.cache/capstan}/venv-$(sha256sum tests/requirements.txt | cut -c1-12)"
