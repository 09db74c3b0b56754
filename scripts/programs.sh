#!/usr/bin/env bash
# Programs that nobody here wrote, unchanged and in fixed versions, for tests: each for WASI, and what comes from crates.io for this
# machine too, into target/programs. Needs the `everstep` program and what `setup.sh test` installs. A second run finds everything there.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"

folder=$PWD/target/programs
everstep=$PWD/target/release/everstep
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf 'programs: %s\n' "$*"; }

# Its output matters only when it fails.
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; }

# Is there in this version.
has() { [ -f "$folder/$1.wasm" ] && [ "$(cat "$folder/$1.version" 2>/dev/null)" = "$2" ]; }

crate() { # program, crate, version
  has "$1" "$3" && return
  say "$2 $3"
  # Compiled fast: it is run once.
  quietly env CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
    cargo install --locked --force --root "$folder/native" --target-dir "$folder/build" "$2@$3"
  # The source that cargo has just unpacked.
  cp -r "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$2-$3" "$work/$2"
  quietly "$everstep" build "$work/$2" -o "$folder/$1.wasm"
  echo "$3" >"$folder/$1.version"
}

# The SQLite shell: its source is part of a package of npm.
sqlite() { # version of the package
  has sqlite3 "$1" && return
  say "sqlite3 of npm's sqlite3 $1"
  quietly npm pack --silent --pack-destination "$work" "sqlite3@$1"
  tar -xzf "$work/sqlite3-$1.tgz" -C "$work"
  tar -xzf "$work"/package/deps/sqlite-autoconf-*.tar.gz -C "$work"
  local libraries=/usr/lib/wasm32-wasi
  quietly clang-19 --target=wasm32-wasip1 --sysroot=/usr/lib/none -nostdlibinc -isystem /usr/include/wasm32-wasi -include tests/programs/wasi.h -w -O1 \
    -DSQLITE_WASI -DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_OMIT_POPEN -DSQLITE_NOHAVE_SYSTEM -DLONGDOUBLE_TYPE=double \
    -D_WASI_EMULATED_{MMAN,GETPID,SIGNAL,PROCESS_CLOCKS} "$work"/sqlite-autoconf-*/{shell,sqlite3}.c \
    -fuse-ld="$(command -v wasm-ld-19)" -nostdlib "$libraries/crt1-command.o" -L"$libraries" \
    -lwasi-emulated-{mman,getpid,signal,process-clocks} -lc \
    "$(clang-19 --print-resource-dir)/lib/wasi/libclang_rt.builtins-wasm32.a" -o "$work/sqlite3.core.wasm"
  quietly "$everstep" build "$work/sqlite3.core.wasm" -o "$folder/sqlite3.wasm"
  echo "$1" >"$folder/sqlite3.version"
}

mkdir -p "$folder"
crate rg ripgrep 15.1.0
crate pulldown-cmark pulldown-cmark 0.13.6
crate jsonxf jsonxf 1.1.1
sqlite 6.0.1
say ready
