#!/usr/bin/env bash
# Makes a machine with Rust, Python 3, Node and Debian's apt ready to build Everstep.
# Installs only what is missing; a second run finds everything there and takes no time. `setup.sh test` makes it ready to run the tests,
# `setup.sh fuzz` to fuzz.
set -euo pipefail
# Where cargo installs programs, should the path lack it.
PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"

# Of guests, and of programs with `main`.
guests=wasm32-unknown-unknown
programs=wasm32-wasip2
packages=(rustc-web rust-web-src lld-19)

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

debian() { # packages
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

need() { # program, where to get it
  command -v "$1" >/dev/null || fail "$1 is missing: $2"
}

# The active toolchain holds the standard library for a target.
has_target() { # target
  local libraries
  libraries=$(rustc --print target-libdir --target "$1" 2>/dev/null) || return 1
  compgen -G "$libraries/libstd-*" >/dev/null
}

# Asks rustup for it; the network may lack what rustup needs.
rustup_target() { # target
  command -v rustup >/dev/null || return 1
  say "$1: asking rustup"
  RUSTUP_MAX_RETRIES=0 timeout 300 rustup target add "$1" && has_target "$1"
}

has_linker() { # sysroot
  compgen -G "$1/lib/rustlib/*/bin/rust-lld" >/dev/null && return
  local folder
  for folder in ${PATH//:/ } /usr/bin; do
    compgen -G "$folder/wasm-ld*" >/dev/null && return
  done
  return 1
}

# Prints a compiler that can compile that library from source, and link.
system_rustc() {
  local rustc sysroot
  while read -r rustc; do
    sysroot=$("$rustc" --print sysroot 2>/dev/null) || continue
    [ -f "$sysroot/lib/rustlib/src/rust/library/std/Cargo.toml" ] || continue
    has_linker "$sysroot" && echo "$rustc" && return
  done < <(type -ap rustc; echo /usr/bin/rustc)
  return 1
}

wasm_toolchain() { # target
  if has_target "$1" || rustup_target "$1"; then
    say "$1: in the active toolchain"
    return
  fi
  if ! found=$(system_rustc); then
    command -v apt-get >/dev/null || fail "no toolchain compiles to $1: rustup target add $1"
    say "$1: installing ${packages[*]}"
    debian "${packages[@]}"
    found=$(system_rustc) || fail "${packages[*]} are installed, but none compiles to $1"
  fi
  if [ "$1" = "$programs" ] && [ ! -f /usr/lib/wasm32-wasi/crt1-command.o ] && [ -z "${WASI_SYSROOT:-}" ]; then
    say "$1: installing wasi-libc"
    debian wasi-libc
  fi
  say "$1: from source, with $found"
}

nextest() {
  if ! cargo nextest --version >/dev/null 2>&1; then
    say "cargo-nextest: installing"
    cargo install cargo-nextest --locked
  fi
  say "cargo-nextest: $(cargo nextest --version | head -n 1)"
}

# What C for WASI is compiled with.
c_compiler() {
  if ! command -v clang-19 >/dev/null || ! command -v wasm-ld-19 >/dev/null || [ ! -f /usr/lib/wasm32-wasi/crt1-command.o ]; then
    command -v apt-get >/dev/null || fail "a C compiler for WASI is missing: clang-19, lld-19 and wasi-libc"
    say "C: installing clang-19"
    debian clang-19 lld-19 wasi-libc
  fi
  say "C: $(clang-19 --version | head -n 1)"
}

# What C programs are linked with, and the SQLite shell of this machine, for comparison.
c_programs() {
  if ! command -v sqlite3 >/dev/null || [ ! -f /usr/lib/llvm-19/lib/clang/19/lib/wasi/libclang_rt.builtins-wasm32.a ]; then
    command -v apt-get >/dev/null || fail "sqlite3 or the run-time library of clang-19 for WASI is missing"
    say "C programs: installing their library"
    debian libclang-rt-19-dev-wasm32 sqlite3
  fi
}

# Counts instructions.
valgrind() {
  if ! type -P valgrind >/dev/null; then
    command -v apt-get >/dev/null || fail "valgrind is missing"
    say "valgrind: installing"
    debian valgrind
  fi
  say "valgrind: $(command valgrind --version)"
}

# libFuzzer, which cargo-fuzz drives, is C++.
fuzzer() {
  if ! command -v c++ >/dev/null; then
    command -v apt-get >/dev/null || fail "c++ is missing: install a C++ compiler"
    say "c++: installing g++"
    debian g++
  fi
  if ! cargo fuzz --version >/dev/null 2>&1; then
    say "cargo-fuzz: installing"
    cargo install cargo-fuzz --locked --version 0.13.2
  fi
  say "$(cargo fuzz --version)"
}

need cargo "see https://rustup.rs"
need rustc "see https://rustup.rs"
need python3 "apt-get install python3"
need node "apt-get install nodejs"
wasm_toolchain "$guests"
wasm_toolchain "$programs"
c_compiler
case ${1:-} in
  test) nextest; c_programs; valgrind ;;
  fuzz) fuzzer ;;
esac
say ready
