#!/usr/bin/env bash
# CPython's own tests in the sandbox: takes the test package from Debian, then compares with tests/cpython/expected.json.
# WRITE=1 writes the table anew; arguments are modules, all without one.
set -euo pipefail
cd "$(dirname "$0")/.."

version=3.14.10-1
suites=(sid forky trixie-backports)
# The tests, and `test.support`, which Debian has in the library's own package.
sums=(
  "137b55a9b0794801a0226a8220c7c224e9e5e3a9d1261bd62573a87a6ad8bf31  libpython3.14-testsuite_${version}_all.deb"
  "0af595928d7a49c12fe33d5667da95dc2fa9868e1a9a00625428074d3b3d458a  libpython3.14-stdlib_${version}_amd64.deb"
)
tools=target/python/componentize-py-0.25.1
work=$PWD/target/cpython
lib=$work/lib

say() { printf 'cpython: %s\n' "$*"; }

# Where this machine has its own Debian packages from, for other suites of the same archive.
archive() {
  sed -nE 's/^URIs: *([^ ]+\/debian)\/? *$/\1/p; s/^deb +(\[[^]]*\] +)?([^ ]+\/debian)\/? .*/\2/p' \
    /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list /etc/apt/sources.list 2>/dev/null | head -n 1
}

# A configuration of its own: what the system installs from stays as it is.
apt_here() {
  apt-get -q -o Dir::Etc::sourcelist="$work/apt/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$work/apt/lists" \
    -o Dir::Cache="$work/apt/cache" -o APT::Sandbox::User=root -o Acquire::Languages=none \
    -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "$@"
}

fetch() {
  local from suite
  from=$(archive)
  [ -n "$from" ] || return 1
  mkdir -p "$work/apt/lists/partial" "$work/apt/cache"
  for suite in "${suites[@]}"; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $from $suite main" >"$work/apt/sources.list"
    if apt_here update >"$work/apt/log" 2>&1 &&
      (cd "$work/apt" && apt_here download "libpython3.14-testsuite=$version" "libpython3.14-stdlib:amd64=$version" >>log 2>&1); then
      return 0
    fi
  done
  return 1
}

if [ ! -e "$lib/.complete-$version" ]; then
  say "taking the tests of CPython $version from Debian"
  if ! fetch; then
    # The archive keeps a version for some months. That says nothing about the change that is being tested.
    say "NOT RUN: $version is not to be had any more; name one that is in scripts/cpython.sh and run make cpython WRITE=1"
    exit 0
  fi
  (cd "$work/apt" && printf '%s\n' "${sums[@]}" | sha256sum --check --quiet)
  rm -rf "$lib" "$work/deb"
  mkdir -p "$lib"
  for package in "$work"/apt/*.deb; do
    dpkg-deb -x "$package" "$work/deb"
  done
  # Some tests import the modules afresh: the sources that the component was made of, which it does not keep.
  "$tools/bin/python" -m pip install --quiet --disable-pip-version-check zstandard==0.25.0
  "$tools/bin/python" tests/cpython/sources.py "$tools" "$lib"
  mv "$work/deb/usr/lib/python3.14/test" "$lib/test"
  rm -rf "$work/deb" "$work/apt"
  touch "$lib/.complete-$version"
fi
exec python3 tests/cpython/check.py "$lib" ${WRITE:+--write} "$@"
