#!/usr/bin/env bash
# Installs the Debian packages that are missing, and only those.
# Usage: scripts/install-deps.sh build|test [--list]
#   build  what compiling and running Gridlatch needs
#   test   that, and what the tests start: Java, Python, Chromium, OpenSSL's and GnuTLS's tools, network
#          namespaces, keys in software tokens and TPMs, PostgreSQL
#   --list prints the set and changes nothing
# Uses root, or sudo without a password. Where it has neither, it names the packages and the command: for `build` that is
# an error, for `test` a note, since tests skip by name what is not there.
set -euo pipefail

build=(build-essential pkg-config libssl-dev ca-certificates)
test=("${build[@]}" openssl curl openjdk-17-jre-headless python3 python3-venv iproute2 procps chromium chromium-driver tshark
    softhsm2 swtpm tpm2-tools libtpm2-pkcs11-1 libtss2-dev opensc gnutls-bin
    postgresql)

case "${1:-}" in
build) wanted=("${build[@]}") ;;
test) wanted=("${test[@]}") ;;
*)
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
if [ "${2:-}" = --list ]; then
    printf '%s\n' "${wanted[@]}"
    exit 0
fi

if ! command -v dpkg-query >/dev/null; then
    echo "install-deps: no dpkg here; what Debian calls ${wanted[*]} must be installed by hand" >&2
    exit 0
fi

missing=()
for package in "${wanted[@]}"; do
    state=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi

as_root=()
if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root=(sudo)
    else
        echo "install-deps: missing: ${missing[*]}" >&2
        echo "install-deps: run as root: apt-get install --no-install-recommends ${missing[*]}" >&2
        [ "$1" = test ] || exit 1
        echo "install-deps: going on without; tests that need them say so and are skipped" >&2
        exit 0
    fi
fi

echo "install-deps: installing ${missing[*]}" >&2
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" >&2; }
# The lists on the machine may be good enough; fetching them is the slow and the fragile part.
apt install --yes --no-install-recommends "${missing[@]}" 2>/dev/null || {
    apt update
    apt install --yes --no-install-recommends "${missing[@]}"
}
