#!/usr/bin/env bash
# Installs the Python client and the Jupyter kernel, with what their tests and those of traces and metrics need, into an environment of
# their own: target/clients.
# Does nothing when that is newer than what it installs. `clients.sh test` runs the tests as well, and programs of the Resonate SDKs for
# TypeScript and Rust, from npm and crates.io, and for Python, from PyPI, where there is the Python 3.12 or later that it needs (or the one
# that SDK_PYTHON names), on `everstep serve` or the server at RESONATE_URL, alone and beside `everstep worker`.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=target/clients
requirements=(examples/jupyter-kernel/requirements.txt tests/observe/requirements.txt)
packages=(client examples/jupyter-kernel)
done=$tools/installed

say() { printf 'clients: %s\n' "$*"; }
source scripts/venv.sh

for source in "${requirements[@]}" "${packages[@]/%//pyproject.toml}" scripts/clients.sh; do
  [ "$done" -nt "$source" ] || rm -f "$done"
done
if [ ! -e "$done" ]; then
  say "installing ${requirements[*]}"
  mkdir -p target
  environment "$tools"
  install "$tools" "${requirements[@]/#/--requirement=}"
  # As links: the sources are what runs.
  install "$tools" --no-deps --no-build-isolation "${packages[@]/#/--editable=}"
  "$tools/bin/python" -m everstep_kernel install --sys-prefix
  touch "$done"
fi

if [ "${1:-}" = test ]; then
  for package in "${packages[@]}"; do
    say "testing $package"
    PATH="$PWD/target/release:$PATH" "$tools/bin/python" -m unittest discover --start-directory "$package/tests"
  done
  sdk=target/sdk
  if [ ! "$sdk/installed" -nt tests/sdk/package-lock.json ]; then
    say "installing tests/sdk"
    mkdir -p "$sdk"
    cp tests/sdk/package.json tests/sdk/package-lock.json "$sdk"
    npm ci --prefix "$sdk" --no-audit --no-fund --loglevel=error
    touch "$sdk/installed"
  fi
  # Beside what it imports.
  cp tests/sdk/*.mjs "$sdk"
  say "building tests/sdk/rust"
  cargo build --locked --quiet --manifest-path tests/sdk/rust/Cargo.toml --target-dir target/sdk-rust
  target/release/everstep build tests/sdk/guest
  python=()
  for newer in ${SDK_PYTHON:-python3 python3.14 python3.13 python3.12 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[2-9].*/bin/python3}; do
    "$newer" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && break || newer=
  done
  if [ -n "$newer" ]; then
    python=(target/sdk-python/bin/python)
    if [ ! target/sdk-python/installed -nt tests/sdk/requirements.txt ]; then
      say "installing tests/sdk/requirements.txt"
      environment target/sdk-python "$newer"
      install target/sdk-python --requirement=tests/sdk/requirements.txt
      touch target/sdk-python/installed
    fi
    say "testing tests/sdk (the SDK for Python with $("$newer" --version))"
  else
    say "testing tests/sdk (NOT RUN: the SDK for Python, which needs Python 3.12 or later)"
  fi
  python3 tests/sdk/check.py target/release/everstep tests/sdk/guest "$sdk" target/sdk-rust/debug "${python[@]}"
fi
