#!/usr/bin/env bash
# Runs every example as its README says, and the documents as they say, each in a fresh folder, and compares what is printed with
# what is shown. With arguments, only these: scripts/examples.sh examples/hello README.md docs/policy.md
set -euo pipefail
cd "$(dirname "$0")/.."
project=$PWD
everstep=$project/target/release/everstep

say() { printf 'examples: %s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }

# The tools that build the Python guest, and what they have built.
export EVERSTEP_PYTHON_CACHE=$project/target/python

# How long the README of the project may be.
readme_lines=170

# The `console` blocks of a document: commands, each followed by what it prints.
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
    # A file that the command is given: <<'EOF', up to EOF.
    if [[ $line =~ \<\<\'([A-Z]+)\' ]]; then
      while IFS= read -r more <&3; do
        printf '%s\n' "$more"
        line+=$'\n'$more
        [[ $more != "${BASH_REMATCH[1]}" ]] || break
      done
    fi
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

# What a user finds after cloning, in a folder: the build, the files of some examples, and nothing that an earlier run has left.
fresh() { # folder, examples
  local folder=$1 example entry
  shift
  mkdir -p "$folder"
  ln -s "$project/target" "$project/dist" "$folder"
  for example; do
    mkdir -p "$folder/$example"
    for entry in "$example"/*; do
      if [[ $entry == */guest ]]; then ln -s "$project/$entry" "$folder/$entry"; else cp -r "$entry" "$folder/$entry"; fi
    done
  done
}

# Runs the commands of a document, and compares. The folder in which they run is /home/ada in what is shown.
compare() { # document, examples
  local document=$1 shown typed printed
  [ -f "$document" ] || fail "$document is missing"
  shown=$(blocks "$document")
  typed=$(grep -c '^\$ ' <<<"$shown") || fail "$document shows no command"
  fresh "$temporary/$document.d" "${@:2}"
  printed=$(cd "$temporary/$document.d" && replay <<<"$shown")
  printed=${printed//"$temporary/$document.d"//home/ada}
  diff -u --label "$document" --label "what is printed" <(comparable <<<"$shown") <(comparable <<<"$printed") >&2 ||
    fail "what $document shows is not what is printed"
  say "$document: $typed commands print what it shows"
  documents=$((documents + 1)) commands=$((commands + typed))
}

# Builds the guest of an example, once; those without one run Python.
build() { # example
  if [ ! -d "$1/guest" ] || [[ $built == *" $1 "* ]]; then return; fi
  "$everstep" build "$1/guest" >"$temporary/build" 2>&1 || { cat "$temporary/build" >&2; fail "$1 does not build"; }
  built+=" $1 "
}

[ -x "$everstep" ] || fail "$everstep is missing: cargo build --release --workspace"
length=$(wc -l <README.md)
[ "$length" -le "$readme_lines" ] || fail "README.md has $length lines; up to $readme_lines are its rule, and docs/ has room for more"
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
all=(examples/*/)
[ $# -gt 0 ] || set -- "${all[@]}" README.md docs/*.md
documents=0 commands=0 built=
for each; do
  each=${each%/}
  if [ -d "$each" ]; then
    build "$each"
    compare "$each/README.md" "$each"
  else
    # Documents type `everstep`, and may use every example.
    for example in "${all[@]}"; do build "${example%/}"; done
    PATH=$project/target/release:$PATH compare "$each" "${all[@]%/}"
  fi
done
say "$documents documents, $commands commands: all as shown"
