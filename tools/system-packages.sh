#!/bin/sh
# Makes sure that the Debian packages are there which our commands need beyond Python and make.
#
#   tools/system-packages.sh          called by the Makefile; prints nothing when nothing is missing
#
# As root, with apt, it installs what is missing. Anybody else is told what to install, and it exits with 1.
set -eu

missing=""

# need_program NAME PACKAGE WHY
need_program() {
  command -v "$1" >/dev/null 2>&1 || note_missing "$2" "$3"
}

# need_python MODULE PACKAGE WHY
need_python() {
  python3 -c "import $1" 2>/dev/null || note_missing "$2" "$3"
}

# need_file PATH PACKAGE WHY
need_file() {
  [ -e "$1" ] || note_missing "$2" "$3"
}

# need_library NAME PACKAGE WHY
need_library() {
  PATH="$PATH:/sbin:/usr/sbin" ldconfig -p | grep -q "$1" || note_missing "$2" "$3"
}

note_missing() {
  missing="$missing $1"
  printf 'missing: %-20s %s\n' "$1" "$2" >&2
}

python_version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo 3)

need_program python3 python3 "Parlance is written in it (3.11 or newer)"
need_python ensurepip python3-venv "the virtual environments"
need_library "libpython$python_version.so.1" "libpython$python_version" "Triton's Python backend is linked with it"
need_program openssl openssl "the certificates of the Kubernetes API"
need_program setpriv util-linux "Postgres must not run as root"
need_program curl curl "the demo uploads with it"
need_file /etc/ssl/certs/ca-certificates.crt ca-certificates "downloads are checked with it"

[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  printf 'Install them, then try again:\n  apt-get install%s\n' "$missing" >&2
  exit 1
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet
# shellcheck disable=SC2086 # a list of words on purpose
apt-get install --yes --quiet --no-install-recommends $missing
