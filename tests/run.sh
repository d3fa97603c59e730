#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Checks and tests everything:    sudo tests/run.sh [--quick] [arguments of pytest]
#
# Installs what is missing: packages by apt, and ruff, mypy and wgconfig into a Python environment
# in /var/cache/netjail-tests (root) or .venv (anybody else). Needs no network once that is done.
# --quick leaves out the tests marked slow. Four at a time, file by file (most of them wait for
# something); NETJAIL_TESTS_WORKERS=0: one after the other.
# A run of all tests gives up to five that failed one more try, by themselves, on a machine with
# less to do, and says which passed only then; NETJAIL_TESTS_AGAIN=0: it does not.
# Without root: no packages are installed and no network is tested; each skip says so.
set -euo pipefail
umask 022
export LC_ALL=C.UTF-8
unset PYTHONDONTWRITEBYTECODE # hundreds of short Python programs start faster with it

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
checkout=${here%/*}
cd -- "$checkout"

# shellcheck source=packaging/apt.sh
. packaging/apt.sh

quick=no
words=()
for word; do
    case $word in
    -h | --help)
        sed -n '3,12s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    --quick) quick=yes ;;
    *) words+=("$word") ;;
    esac
done

root=no
if [ "$(id -u)" = 0 ]; then
    root=yes
    packages=(python3 python3-venv python3-pip python3-setuptools python3-wheel
        python3-pyroute2 python3-nftables python3-tomli-w python3-xdg
        python3-pytest python3-pytest-xdist python3-hypothesis python3-pexpect
        iproute2 util-linux nftables wireguard-tools wireguard-go dnsmasq-base
        curl tcpdump ca-certificates iputils-ping bind9-dnsutils
        openvswitch-switch openvpn openconnect udhcpc iw iptables miniupnpd-nftables
        sudo firejail strace iperf3 procps mmdebstrap git openssl
        dbus-daemon python3-gi python3-pydbus gir1.2-polkit-1.0
        bash-completion zsh fish man-db groff mandoc librsvg2-bin libxml2-utils
        xdg-utils libgtk-3-bin libglib2.0-bin libnotify-bin shared-mime-info
        desktop-file-utils appstream keyutils less openssh-client vim htop tmux
        xvfb xfwm4 xfce4-panel xfconf xfce4-notifyd xdotool imagemagick x11-utils x11-xserver-utils
        xterm zenity adwaita-icon-theme librsvg2-common fonts-dejavu-core gir1.2-gtk-3.0
        python3-pystray python3-xlib gir1.2-ayatanaappindicator3-0.1)
    # Where systemd runs the machine these would start services: then only what is there is tested.
    [ -d /run/systemd/system ] || packages+=(nscd polkitd systemd ocserv ufw firewalld)
    [ "$quick" = yes ] || packages+=(firefox-esr chromium gnome-terminal flatpak busybox xdg-dbus-proxy weston)
    [ "$quick" = yes ] || [ "$(uname -m)" != x86_64 ] ||
        packages+=(qemu-system-x86 e2fsprogs debian-archive-keyring lintian)
    need_packages "${packages[@]}"
fi

# Ordinary users take part in the tests. Where they cannot get at the checkout (it is below /root,
# or was made with a strict umask) a copy that they can read is tested in its place.
if [ "$root" = yes ] &&
    ! setpriv --reuid 65534 --regid 65534 --clear-groups cat "$checkout/netjail/names.py" >/dev/null 2>&1; then
    mkdir -p /var/cache/netjail-tests
    copy=$(mktemp -d /var/cache/netjail-tests/checkout.XXXXXX)
    say "Ordinary users cannot read $checkout: testing a copy in $copy"
    cp -a . "$copy/"
    chmod -R go+rX "$copy"
    status=0
    if [ "$quick" = yes ]; then set -- --quick; else set --; fi
    bash "$copy/tests/run.sh" "$@" ${words[@]+"${words[@]}"} || status=$?
    rm -rf "$copy"
    exit "$status"
fi

# A Python environment, made anew when the system's Python or the list has changed.
# Not in the checkout where root is at work: what root runs must not be anybody else's to change.
if [ "$root" = yes ]; then
    venv=/var/cache/netjail-tests/venv
    mkdir -p /var/cache/netjail-tests
else
    venv=$checkout/.venv
fi
python=/usr/bin/python3
want="$("$python" -V) $(cksum <tests/requirements.txt)"
if [ "$(cat "$venv/netjail-tests" 2>/dev/null)" != "$want" ]; then
    say "Making the Python environment $venv"
    log=$(mktemp)
    rm -rf "$venv"
    if ! { "$python" -m venv --system-site-packages "$venv" &&
        "$venv/bin/python" -m pip --disable-pip-version-check --no-input install --quiet \
            --root-user-action=ignore -r tests/requirements.txt; } >"$log" 2>&1 </dev/null; then
        tail -n 8 "$log" >&2
        rm -f "$log"
        rm -rf "$venv"
        die "the Python environment could not be made" \
            "If this machine is offline, connect it: ruff, mypy and wgconfig come from the Python" \
            "package index, by pip as it is set up here. Then run this again."
    fi
    rm -f "$log"
    printf '%s\n' "$want" >"$venv/netjail-tests"
fi

# What root wrote into somebody's checkout is theirs.
give_back() {
    local owner
    owner=$(stat -c %u:%g .)
    if [ "$root" = yes ] && [ "${owner%%:*}" != 0 ]; then
        find . -xdev -user root \( -name __pycache__ -o -path './.*_cache' -o -path ./.hypothesis \) \
            -prune -exec chown -R "$owner" {} +
    fi
}
trap give_back EXIT

failed=()
check() { # NAME COMMAND...
    local name=$1
    shift
    say "== $name"
    "$@" || failed+=("$name")
}

check "ruff check" "$venv/bin/ruff" check --quiet --extend-exclude packaging/debian .
check "ruff format" "$venv/bin/ruff" format --quiet --check --extend-exclude packaging/debian .
check "mypy" "$venv/bin/python" -m mypy
marks=()
[ "$quick" = no ] || marks=(-m "not slow")
workers=${NETJAIL_TESTS_WORKERS:-4}
if [ "$workers" != 0 ] && "$venv/bin/python" -c 'import xdist' 2>/dev/null; then
    marks+=(-n "$workers" --dist loadfile)
fi

pytest=("$venv/bin/python" -m pytest -ra -o faulthandler_timeout=300)

# All tests. These are thousands of real programs on the clock, four at a time: one that failed in
# the crowd and passes alone is told of and does not fail the run. More than five are no accident.
all_tests() {
    local cache status=0 names
    cache=$(mktemp -d)
    "${pytest[@]}" -o cache_dir="$cache" ${marks[@]+"${marks[@]}"} || status=$?
    if [ "$status" = 1 ] && [ "${NETJAIL_TESTS_AGAIN:-1}" != 0 ]; then
        names=$("$venv/bin/python" -c 'import json, sys; print(*json.load(open(sys.argv[1])), sep="\n")' \
            "$cache/v/cache/lastfailed") || names=
        if [ -n "$names" ] && [ "$(wc -l <<<"$names")" -le 5 ]; then
            say "== pytest once more, these alone:"
            say "$names"
            status=0
            "${pytest[@]}" -o cache_dir="$cache" -p no:xdist --last-failed || status=$?
            [ "$status" != 0 ] || say "Failed beside the others, passed alone:" "$names"
        fi
    fi
    rm -rf "$cache"
    return "$status"
}

if [ ${#words[@]} = 0 ]; then
    check "pytest" all_tests
else
    check "pytest" "${pytest[@]}" ${marks[@]+"${marks[@]}"} "${words[@]}"
fi

if [ ${#failed[@]} -gt 0 ]; then
    printf -v list ', %s' "${failed[@]}"
    die "failed: ${list#, }"
fi
