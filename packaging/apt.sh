# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# Sourced by packaging/demo.sh and tests/run.sh: installs what is missing of a list of packages,
# by apt and as this machine has set it up.

say() { printf '%s\n' "$*"; }

die() { # MESSAGE [HINT...]
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    shift
    [ $# -eq 0 ] || printf '  %s\n' "$@" >&2
    exit 1
}

installed() { # PACKAGE
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Quietly; the whole output goes to $apt_log.
apt_quietly() { # ARGUMENT...
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 \
        "$@" >>"$apt_log" 2>&1 </dev/null
}

# Install what is missing. Without apt: 0, the caller finds out what it lacks.
need_packages() { # PACKAGE...
    local package missing=() apt_log
    command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || {
        say "No apt here; these Debian packages, or their like, must be there: $*"
        return 0
    }
    for package; do
        installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "Installing packages: ${missing[*]}"
    apt_log=$(mktemp)
    # The list of packages may be absent or too old: then again with a new one.
    if ! apt_quietly install -y --no-install-recommends "${missing[@]}"; then
        : >"$apt_log"
        if ! apt_quietly update ||
            ! apt_quietly install -y --no-install-recommends "${missing[@]}"; then
            grep -E '^(E|W|Err):? ' "$apt_log" | tail -n 8 >&2
            rm -f "$apt_log"
            die "these packages could not be installed: ${missing[*]}" \
                "If this machine is offline, connect it; if its package sources are wrong or" \
                "incomplete (Ubuntu: 'universe' is needed), correct them. Then run this again."
        fi
    fi
    rm -f "$apt_log"
}
