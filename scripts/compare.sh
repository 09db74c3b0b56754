#!/usr/bin/env bash
# Installs what users could pick instead of Everstep (Restate from npm, DBOS from crates.io, with Debian's PostgreSQL) below
# target/compare, and runs them beside it. `compare.sh curves` runs Everstep alone, with more and more of everything, up to LIMIT of each.
# WRITE=1 draws docs/compare.svg, or docs/curves.svg, anew. Nothing of it is part of the build or of the tests.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=target/compare
mkdir -p "$tools/restate"
say() { printf 'compare: %s\n' "$*" >&2; }
source scripts/venv.sh

case ${1:-} in
  '' | curves) ;;
  *) say "there is no comparison $1: give nothing, or curves"; exit 2 ;;
esac

peers() {
  if ! command -v initdb >/dev/null && ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
    command -v apt-get >/dev/null || { say "PostgreSQL is missing: install it"; exit 1; }
    say "installing postgresql"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql
  fi
  if [ ! "$tools/restate/installed" -nt host/benches/compare/restate/package-lock.json ]; then
    say "installing Restate"
    cp host/benches/compare/restate/package*.json "$tools/restate"
    npm ci --prefix "$tools/restate" --no-audit --no-fund --loglevel=error
    touch "$tools/restate/installed"
  fi
  # Beside what they import.
  cp host/benches/compare/restate/*.mjs "$tools/restate"
  say "building DBOS"
  cargo build --release --locked --quiet --manifest-path host/benches/compare/dbos/Cargo.toml --target-dir "$tools/dbos"
}

[ "${1:-}" = curves ] || peers
say "building Everstep"
COMPARE_EVERSTEP=$(cargo bench --locked --profile release -p everstep --bench compare --no-run --message-format=json ${CARGO_FLAGS:-} |
  python3 -c 'import json, sys; print(*[made["executable"] for made in map(json.loads, sys.stdin) if made.get("executable") and made["target"]["name"] == "compare"])')
export COMPARE_EVERSTEP
say "measuring, which takes some minutes"
python3 "host/benches/compare/${1:-compare}.py"
