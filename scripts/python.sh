#!/usr/bin/env bash
# Builds the Python guest: CPython, the standard library and guest-sdk/python in one component, beside the program.
# Does nothing when it is built already. Its tools come from PyPI, into a folder of their own.
set -euo pipefail
cd "$(dirname "$0")/.."

component=target/release/everstep-python.wasm

say() { printf 'python: %s\n' "$*"; }

source scripts/venv.sh

python3 -c 'import ensurepip, venv' 2>/dev/null || install_venv
target/release/everstep python build --cache target/python -o "$component" >/dev/null
