#!/usr/bin/env bash
# Makes the virtual environment with everything that the make targets need, in tested versions.
# Called by `make setup`; PYTHON names an interpreter to use, and is otherwise looked for.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${1:-.venv}
oldest="3.11"
candidates="python3.11 python3.12 python3.13 python3.14 python3 python" # the tested one first

fail() {
    printf 'make setup: %s\n' "$@" >&2
    exit 1
}

# A name on the PATH is not enough: a shim may stand there for a Python that is not installed.
is_recent() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

makes_venvs() {
    "$1" -c 'import ensurepip, ssl, venv' >/dev/null 2>&1
}

find_python() {
    local candidate recent=""
    for candidate in ${PYTHON:-$candidates}; do
        is_recent "$candidate" || continue
        recent=${recent:-$candidate}
        if makes_venvs "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    if [ -n "$recent" ]; then
        fail "$recent lacks venv, ensurepip or ssl, which a virtual environment needs." \
            "On Debian and Ubuntu: apt-get install python3-venv"
    fi
    fail "Python $oldest or later is needed, and ${PYTHON:-what is on the PATH} is not it." \
        "Install one, or name it: make setup PYTHON=/path/to/python3"
}

pip() {
    "$venv/bin/python" -m pip --disable-pip-version-check "$@"
}

if ! { is_recent "$venv/bin/python" && pip --version >/dev/null 2>&1; }; then
    python=$(find_python)
    echo "Making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv" || fail "$python could not make $venv; see above"
fi

# `--group` reads the dependency groups of pyproject.toml
if ! pip install --help 2>/dev/null | grep -q -- --group; then
    pip install --quiet --upgrade 'pip>=25.1' || fail "pip could not be renewed; see above"
fi

echo "Installing everything into $venv; this takes a moment"
pip install --quiet --constraint constraints.txt --editable '.[embedded]' \
    --group test --group check --group bench ||
    fail "pip could not install everything; see above. Run it again when that is mended."

# The pages are tested in a real browser
has_browser() {
    local name
    [ -z "${AGENT_TEST_BROWSER:-}" ] || return 0
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        ! command -v "$name" >/dev/null || return 0
    done
    return 1
}

if ! has_browser && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "Installing Chromium, for the tests of the pages"
    { apt-get update -q && apt-get install -qy --no-install-recommends chromium; } >"$venv/chromium.log" 2>&1 ||
        echo "apt-get could not install it; $venv/chromium.log says why"
fi
if ! has_browser; then
    echo "No Chromium is here: all works but the tests in tests/acceptance/browser." \
        "Install it, or name one: AGENT_TEST_BROWSER=/path/to/chrome"
fi
