#!/usr/bin/env bash
# Runs every fuzz target for FUZZ_SECONDS, from the seeds in tests/fuzz/corpus and from what earlier runs have found.
# Sanitizers need an unstable compiler; without unsafe code, the findings are panics, and inputs that take too long.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"

seconds=${FUZZ_SECONDS:-20}
options=(--fuzz-dir tests/fuzz --target-dir target/fuzz --sanitizer none)

cargo fuzz build "${options[@]}"
for target in policy url journal; do
  found=target/fuzz/corpus/$target
  log=target/fuzz/$target.log
  arguments=(-max_total_time="$seconds" -max_len=2048 -timeout=10 -print_final_stats=1)
  dictionary=tests/fuzz/dictionaries/$target.dict
  if [ -f "$dictionary" ]; then arguments+=(-dict="$dictionary"); fi
  mkdir -p "$found"
  if ! cargo fuzz run "${options[@]}" "$target" "$found" "tests/fuzz/corpus/$target" -- "${arguments[@]}" >"$log" 2>&1; then
    grep -aE 'panicked at|ERROR: libFuzzer' -A 3 "$log" >&2 || tail -n 20 "$log" >&2
    printf 'fuzz: %s: a finding; the input is in tests/fuzz/artifacts/%s, everything else in %s\n' "$target" "$target" "$log" >&2
    exit 1
  fi
  printf 'fuzz: %s: no finding, %s\n' "$target" "$(grep -a '^Done ' "$log")"
done
