#!/usr/bin/env bash
# Compiles the native modules of the Python guest, _bz2, _lzma, _zstd, _scrypt and _lasting, into target/native: guest-sdk/python/NATIVE.md.
# The program holds them, so that `everstep python build` needs no compiler. Does nothing when they are compiled already.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"

native=guest-sdk/python/native
out=$PWD/target/native
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf 'native: %s\n' "$*"; }

key=$({ clang-19 --version; cat scripts/native.sh; find "$native" -type f -print0 | sort -z | xargs -0 cat; } | sha256sum)
if [ "$(cat "$out.key" 2>/dev/null)" = "$key" ]; then
  exit
fi

# The folder of a package of crates.io.
package() { # name
  cargo metadata --locked --format-version 1 --manifest-path "$native/Cargo.toml" |
    python3 -c 'import json, os, sys; [print(os.path.dirname(p["manifest_path"])) for p in json.load(sys.stdin)["packages"] if p["name"] == sys.argv[1]]' "$1"
}

# Position-independent, against Debian's headers of the C library; nothing of that library is linked in.
compile() { # folder for the objects, options of the compiler and sources
  mkdir -p "$work/$1"
  (cd "$work/$1" && clang-19 --target=wasm32-wasip1 -fPIC -O2 -nostdlibinc -isystem /usr/include/wasm32-wasi -D_WASI_EMULATED_SIGNAL \
    -DNDEBUG -fvisibility=hidden -w -c "${@:2}")
}

python=(-DPy_BUILD_CORE_MODULE "-I$PWD/$native/include" "-I$PWD/$native/include/internal")
modules=$PWD/$native/modules

# What a module lacks is that of CPython and the C library, which are linked when a component is built.
link() { # module
  wasm-ld-19 -shared --experimental-pic --no-entry --strip-all --gc-sections --unresolved-symbols=import-dynamic "--export=PyInit_$1" \
    "$work/$1"/*.o -o "$work/$1.cpython-314-wasm32-wasi.so"
}

say "compiling _bz2, _lzma, _zstd, _scrypt and _lasting"
library=$(package bzip2-sys)/bzip2-1.0.8
compile _bz2 -DBZ_NO_STDIO "$library"/{blocksort,huffman,crctable,randtable,compress,decompress,bzlib}.c
compile _bz2 "${python[@]}" "-I$library" "$modules"/{_bz2module,bz2_error}.c
link _bz2

library=$(package liblzma-sys)
sources=()
for source in "$library"/xz/src/liblzma/{common,lzma,lz,check,delta,rangecoder,simple}/*.c; do
  case $source in *_small.c | *mt.c | *tablegen.c | *crc_clmul_consts_gen.c) ;; *) sources+=("$source") ;; esac
done
compile _lzma -DHAVE_CONFIG_H "-I$library" "-I$library/xz/src/common" "-I$library/xz/src/liblzma/"{api,lzma,lz,check,simple,delta,common,rangecoder} "${sources[@]}"
compile _lzma "${python[@]}" "-I$library/xz/src/liblzma/api" "$modules/_lzmamodule.c"
link _lzma

library=$(package zstd-sys)/zstd/lib
compile _zstd -DZSTD_DISABLE_ASM -DXXH_NAMESPACE=ZSTD_ "$library"/{common,compress,decompress,dictBuilder}/*.c
compile _zstd "${python[@]}" "-I$library" "-I$modules/zstd" "$modules"/zstd/*.c
link _zstd

for module in _scrypt _lasting; do
  compile $module "${python[@]}" "$modules/${module}module.c"
  link $module
done

mkdir -p "$out"
mv "$work"/*.so "$out"
echo "$key" >"$out.key"
