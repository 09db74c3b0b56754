#!/usr/bin/env bash
# Writes dist/everstep-VERSION-py3-none-manylinux_2_28_x86_64.whl: the program, stripped and linked for glibc 2.28, the component of
# Python, and the client. Needs `make build`. `wheel.sh test` installs it into fresh environments and tests it there.
# Only the last crate is compiled a second time, for another linker. CARGO_FLAGS are the flags of cargo. Does nothing when it is there.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$PWD/target/wheel
tools=$work/tools
read -ra flags <<<"${CARGO_FLAGS:---release --locked}"

say() { printf 'wheel: %s\n' "$*"; }
source scripts/venv.sh

if [ ! "$tools/installed" -nt client/requirements.txt ]; then
  say "installing client/requirements.txt"
  rm -rf "$tools"
  mkdir -p "$work"
  environment "$tools"
  install "$tools" --requirement client/requirements.txt
  touch "$tools/installed"
fi

if [ "${1:-}" = test ]; then
  exec "$tools/bin/python" client/tests/wheel.py dist/everstep-*.whl
fi

say "linking the program"
export ZIG_GLOBAL_CACHE_DIR=$work/zig ZIG_LOCAL_CACHE_DIR=$work/zig
cargo rustc "${flags[@]}" -p everstep --bin everstep -- -C linker=scripts/wheel_linker.sh -C strip=symbols
cp --preserve=timestamps target/release/everstep "$work/everstep"
# Tests and examples go on with that of this machine.
cargo build "${flags[@]}" --quiet -p everstep --bin everstep
parts=("$work/everstep" target/release/everstep-python.wasm)
wheel=$(compgen -G 'dist/everstep-*.whl' || true)
if [ -z "$wheel" ] || [ -n "$(find "${parts[@]}" client scripts/wheel.* Cargo.toml README.md LICENSE -newer "$wheel" -type f)" ]; then
  python3 scripts/wheel.py "${parts[@]}" dist
fi
