#!/usr/bin/env bash
# apt.sh PROGRAM PACKAGE: installs Debian's PACKAGE when PROGRAM is missing and we may; else says what to do.
set -euo pipefail

program=$1
package=$2
PATH="$PATH:/usr/sbin:/sbin:$(echo /usr/lib/postgresql/*/bin | tr " " ":")" # Debian keeps PostgreSQL's there
if command -v "$program" >/dev/null 2>&1; then
    exit 0
fi
if [ "$(id -u)" = 0 ]; then
    as_root=()
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
else
    echo "$program is missing, so the tests that need it are skipped; install it with: sudo apt install $package" >&2
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "$program is missing, so the tests that need it are skipped; install it with this system's package manager." >&2
    exit 0
fi
echo "Installing $package with apt-get (some tests need it)"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { "${as_root[@]}" apt-get update && "${as_root[@]}" apt-get install -y --no-install-recommends "$package"; } >"$log" 2>&1; then
    echo "apt-get could not install $package, so the tests that need it are skipped: $(tail -n 1 "$log")" >&2
fi
rm -f "$log"
