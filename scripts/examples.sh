#!/usr/bin/env bash
# Runs every example as its README says, each in a fresh folder, and compares what it prints with what the README shows.
set -euo pipefail
cd "$(dirname "$0")/.."
project=$PWD
everstep=$project/target/release/everstep

say() { printf 'examples: %s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }

# The `console` blocks of a README: commands, each followed by what it prints.
blocks() { awk '/^```/ { inside = ($0 == "```console"); next } inside' "$1"; }

# Types the commands of such blocks into one shell; prints them with what they print.
replay() {
  local line more status=0
  set +e
  while IFS= read -r line <&3; do
    [[ $line == '$ '* ]] || continue
    printf '%s\n' "$line"
    line=${line#'$ '}
    while [[ $line == *\\ ]] && IFS= read -r more <&3; do
      printf '%s\n' "$more"
      line=${line%\\}$more
    done
    eval "(exit $status); $line" </dev/null 2>&1 3<&-
    status=$?
  done 3<&0
}

# Times, lengths of time and the digests of compiled components vary, and with them the width of columns.
comparable() {
  sed -E \
    -e 's/[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z/TIME/g' \
    -e 's/sha256:[0-9a-f]{64}/DIGEST/g' \
    -e 's/  +[0-9.]+ (ms|s)( |$)/  SPAN\2/g' \
    -e 's/ +/ /g; s/ $//'
}

# What a user finds after cloning: the files of one example, the build, and nothing that an earlier run has left.
fresh() { # example, folder
  local entry
  mkdir -p "$2/$1"
  ln -s "$project/target" "$2/target"
  for entry in "$1"/*; do
    if [[ $entry == */guest ]]; then ln -s "$project/$entry" "$2/$entry"; else cp -r "$entry" "$2/$entry"; fi
  done
}

[ -x "$everstep" ] || fail "$everstep is missing: cargo build --release --workspace"
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
examples=0 commands=0
for example in examples/*/; do
  example=${example%/}
  readme=$example/README.md
  [ -f "$readme" ] || fail "$readme is missing"
  shown=$(blocks "$readme")
  typed=$(grep -c '^\$ ' <<<"$shown") || fail "$readme shows no command"
  # Those without a guest of their own run Python.
  [ ! -d "$example/guest" ] || "$everstep" build "$example/guest" >"$temporary/build" 2>&1 || { cat "$temporary/build" >&2; fail "$example does not build"; }
  folder=$temporary/$(basename "$example")
  fresh "$example" "$folder"
  printed=$(cd "$folder" && replay <<<"$shown")
  diff -u --label "$readme" --label "what it prints" <(comparable <<<"$shown") <(comparable <<<"$printed") >&2 ||
    fail "$example prints something else than its README shows"
  say "$example: $typed commands print what its README shows"
  examples=$((examples + 1)) commands=$((commands + typed))
done
say "$examples examples, $commands commands: all as shown"
