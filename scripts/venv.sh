# Functions for scripts that need Python packages: source it from the folder of the project.

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Debian's Python comes without what makes environments.
install_venv() {
  command -v apt-get >/dev/null || { say "python3 -m venv does not work here: install it" >&2; exit 1; }
  say "installing python3-venv"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv
}

# Makes a Python environment.
environment() { # folder, and the Python if it is not python3
  local python=${2:-python3}
  if ! "$python" -m venv "$1" >/dev/null 2>&1; then
    install_venv
    rm -rf "$1"
    "$python" -m venv "$1"
  fi
}

# Installs packages into such an environment.
install() { # folder, what pip install takes
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check "${@:2}"
}
