#!/usr/bin/env bash
# CPython with science as its users have it: gets and prepares it, and runs tests/science. Compiling it takes minutes, once for each version of the engine.
set -euo pipefail
cd "$(dirname "$0")/.."

export EVERSTEP_PYTHON_CACHE=$PWD/target/python

[ -e "$EVERSTEP_PYTHON_CACHE/science.wasm" ] || target/release/everstep python science >/dev/null
python3 tests/science/check.py target/release/everstep
