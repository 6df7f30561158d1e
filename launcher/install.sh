#!/usr/bin/env bash
# install.sh REQUIREMENTS: makes .venv and installs REQUIREMENTS into it, if they changed since the last time.
set -euo pipefail
cd "$(dirname "$0")/.."

requirements=$1
venv=.venv
stamp="$venv/.installed-$requirements"
log="$venv/install.log"
pip_version=26.3 # its raw progress output is read by install_progress.py

fail() {
    echo "error: $1" >&2
    exit 1
}

new_enough() {
    command -v "$1" >/dev/null 2>&1 && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        new_enough "$PYTHON" || fail "PYTHON=$PYTHON is not Python 3.11 or later; name another one."
        python=$PYTHON
        return
    fi
    for candidate in python3.11 python3.12 python3.13 python3; do
        if new_enough "$candidate"; then
            python=$candidate
            return
        fi
    done
    fail "Python 3.11 or later was not found; install it (Debian: apt install python3 python3-venv) or name it: PYTHON=/path/to/python3.11 make run."
}

make_venv() {
    find_python
    "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 ||
        fail "Python's venv module is missing; install it with: apt install python3-venv"
    echo "Making a virtual environment with $("$python" --version) in $venv"
    "$python" -m venv --clear "$venv" >/dev/null 2>"$venv.log" ||
        fail "The virtual environment could not be made: $(tail -n 1 "$venv.log")"
    rm -f "$venv.log"
    "$venv/bin/pip" install "pip==$pip_version" 2>&1 | progress "pip" 1
    touch "$venv/.made"
}

# The lines of pip as one line of progress; keeps them all in the log, ends with a plain sentence on an error.
progress() {
    "$venv/bin/python" launcher/install_progress.py "$1" "$2" "$log"
}

free_megabytes=$(df -Pm . | awk 'NR == 2 { print $4 }')
wanted=$(cat requirements.txt "$requirements" launcher/install.sh | sha256sum | cut -d' ' -f1)
if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore PIP_PROGRESS_BAR=on
[ "$free_megabytes" -ge 3000 ] || [ -e "$stamp" ] ||
    fail "Only $free_megabytes MB are free on this disk and the packages need about 3000 MB; free some space and start again."
if ! [ -e "$venv/.made" ] || ! "$venv/bin/python" -c '' 2>/dev/null; then
    make_venv
fi
export PIP_PROGRESS_BAR=raw
count=$(cat requirements.txt "$requirements" | sort -u | grep -cE '^[A-Za-z0-9]')
# First and in a command of its own: this is the build that we pin. A looser request can bring gigabytes more.
if ! [ -e "$venv/.installed-torch" ]; then
    "$venv/bin/pip" install torch==2.13.0 2>&1 | progress "torch" 15
    touch "$venv/.installed-torch"
fi
"$venv/bin/pip" install -r "$requirements" 2>&1 | progress "packages" "$count"
echo "$wanted" >"$stamp"
