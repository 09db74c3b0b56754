#!/usr/bin/env bash
# Builds the Python guest: CPython, the standard library and guest-sdk/python in one component, beside the program.
# Does nothing when it is newer than its sources. componentize-py comes from PyPI, into a folder of its own.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.25.1
tools=target/componentize-py-$version
component=target/release/everstep-python.wasm
sources=(guest-sdk/python wit scripts/python.sh scripts/guard.py scripts/seek.py)

say() { printf 'python: %s\n' "$*"; }

source scripts/venv.sh

if [ -e "$component" ] && [ -z "$(find "${sources[@]}" -newer "$component" -type f -not -path '*/__pycache__/*' -print -quit)" ]; then
  exit 0
fi
if ! "$tools/bin/componentize-py" --version >/dev/null 2>&1; then
  say "componentize-py: installing $version"
  environment "$tools"
  install "$tools" "componentize-py==$version"
fi
say "building $component"
mkdir -p target/release
log=$(mktemp)
trap 'rm -f "$log" "$component.new"' EXIT
# Its output matters only when it fails.
"$tools/bin/componentize-py" -d wit -w durable componentize -p guest-sdk/python app -o "$component.new" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
python3 scripts/guard.py "$component.new"
python3 scripts/seek.py "$component.new"
mv "$component.new" "$component"
