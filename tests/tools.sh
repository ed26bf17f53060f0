#!/bin/sh
# Fetches programs that tests run beside Python, where this machine lacks them: `tools.sh promtool newman` those two, of
# promtool, prometheus, newman, azurite and clients (other servers' clients, in environments of their own). Never fails:
# a test whose program is missing skips and says so, or fails where CI=true.
set -u
cd "$(dirname "$0")/.." || exit 0

missing() { ! command -v "$1" >/dev/null 2>&1; }
say() { echo "tools: $*" >&2; }

# Refreshes the package lists once, and only when something is to be fetched.
lists() {
    missing apt-get && return 1
    [ -n "${refreshed-}" ] || [ "$(id -u)" -ne 0 ] || apt-get -qq update >/dev/null 2>&1
    refreshed=yes
}

# One program out of Debian's package of Prometheus: installing that would start a server.
from_prometheus() {
    missing "$1" && [ ! -x ".tools/bin/$1" ] || return 0
    scratch=$(mktemp -d)
    chmod 755 "$scratch"
    if lists && (cd "$scratch" && apt-get -qq -o APT::Sandbox::User=root download prometheus) >/dev/null 2>&1 &&
        dpkg-deb --extract "$scratch"/prometheus_*.deb "$scratch"; then
        mkdir -p .tools/bin
        mv "$scratch/usr/bin/$1" ".tools/bin/$1"
    else
        say "no $1: the tests with it will be skipped"
    fi
    rm -rf "$scratch"
}

# Installs what a folder's lock names, unless it is there.
packages() {
    if missing npm && [ "$(id -u)" -eq 0 ] && lists; then
        DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends nodejs npm >/dev/null 2>&1
    fi
    stamp=$1/node_modules/.package-lock.json
    if missing npm; then
        say "no npm: $2 cannot run, and the tests with it will be skipped"
    elif [ ! -f "$stamp" ] || [ "$1/package-lock.json" -nt "$stamp" ]; then
        if npm ci --prefix "$1" --no-audit --no-fund --loglevel=error >/dev/null 2>&1; then
            touch "$stamp"
        else
            say "npm could not install $2: it cannot run, and the tests with it will be skipped"
        fi
    fi
}

# Makes .tools/NAME, an environment of exactly what tests/clients/NAME.lock names, unless it is there.
environment() {
    stamp=.tools/$1/.lock
    [ ! -f "$stamp" ] || [ "tests/clients/$1.lock" -nt "$stamp" ] || return 0
    # The lock is complete: there is nothing to resolve. What is never imported need not be compiled either.
    if python3 -m venv --clear ".tools/$1" && ".tools/$1/bin/python" -m pip --disable-pip-version-check --quiet install \
        --require-hashes --only-binary :all: --no-deps --no-compile --requirement "tests/clients/$1.lock" >/dev/null; then
        touch "$stamp"
    else
        say "pip could not install tests/clients/$1.lock: the tests with it will be skipped"
    fi
}

for name; do
    case $name in
    promtool | prometheus) from_prometheus "$name" ;;
    newman) packages postman Newman ;;
    azurite) packages tests/azurite Azurite ;;
    clients) environment clients; environment mlserver ;;
    *) say "$name is none of promtool, prometheus, newman, azurite, clients" ;;
    esac
done
exit 0
