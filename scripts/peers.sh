#!/usr/bin/env bash
# Builds what foreign peers run in (Python environments, and a Rust program with a lock file of its own), once, outside
# the source tree:
#   $GRIDLATCH_CACHE (default ${XDG_CACHE_HOME:-~/.cache}/gridlatch)/peers/<name>-<version>
# Usage: scripts/peers.sh [josev] [ocpp] [receipts] [est]      (none = all); prints one line "<name> <folder>" per environment.
# Safe to run at the same time from several processes. Needs python3 with venv and access to a package index (pip's
# own settings and environment variables apply).
set -euo pipefail

root="${GRIDLATCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gridlatch}/peers"
mkdir -p "$root"

python() { # the first python3 that can make environments; a version manager's shim may lack the module
    for candidate in /usr/bin/python3 python3; do
        if command -v "$candidate" >/dev/null && "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "peers: no python3 with the venv module; install python3-venv (make test does)" >&2
    exit 1
}

environment() { # name-version, packages...
    local folder="$root/$1"
    shift
    exec 9>"$folder.lock"
    flock 9
    if [ ! -e "$folder/.complete" ]; then
        echo "peers: building $folder" >&2
        rm -rf "$folder"
        "$(python)" -m venv "$folder"
        "$folder/bin/pip" install --quiet --disable-pip-version-check "$@" >&2
        touch "$folder/.complete"
    fi
    exec 9>&-
    echo "$folder"
}

program() { # name-version, folder of the package below tests/peers
    local folder="$root/$1"
    exec 9>"$folder.lock"
    flock 9
    echo "peers: building $folder unless it is there" >&2
    cargo build --quiet --locked --manifest-path "$(dirname "$0")/../tests/peers/$2/Cargo.toml" --target-dir "$folder" >&2
    exec 9>&-
    echo "$folder"
}

for name in "${@:-josev ocpp receipts est}"; do
    for one in $name; do
        case "$one" in
        # The wheel does not declare aiofile, which its car side imports.
        josev) folder=$(environment josev-0.31.2 'iso15118==0.31.2' 'aiofile==3.9.0') ;;
        ocpp) folder=$(environment ocpp-2.1.0 'ocpp==2.1.0' 'websockets==15.0.1') ;;
        receipts) folder=$(environment receipts-1 'pyocmf[crypto]==0.6.0' 'jwcrypto==1.6.1' 'rfc8785==0.1.4') ;;
        # usg-est-client brings its own TLS (rustls), which has no place in the workspace.
        est) folder=$(program est-2.2.0 est_client) ;;
        *)
            echo "peers: unknown peer $one (josev, ocpp, receipts, est)" >&2
            exit 2
            ;;
        esac
        echo "$one $folder"
    done
done
