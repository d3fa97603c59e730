#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Installs netjail from this checkout and shows what it does:   sudo packaging/demo.sh
# Takes it away again:                                          sudo packaging/demo.sh --remove
#
# Puts netjail in /usr/local/lib/netjail (a Python environment of its own, on top of the
# system's), `netjail` and `netjaild` in /usr/local/bin, and what they need by apt. May be run
# again, from anywhere, for a newer checkout too.
set -euo pipefail
umask 022
export LC_ALL=C.UTF-8

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
checkout=${here%/*}
target=/usr/local/lib/netjail
bin=/usr/local/bin
mark="made by netjail's installation"
python=/usr/bin/python3

# shellcheck source=packaging/apt.sh
. "$here/apt.sh"

usage() {
    say "usage: sudo packaging/demo.sh [--no-demo | --remove | any option of 'netjail demo']"
    say "  Installs netjail and what it needs, then shows what it does (netjail demo)."
    say "  --no-demo  install only"
    say "  --remove   take netjail away again (profiles in /etc/netjail and packages stay)"
}

ours() { # FILE: absent, or a launcher of ours
    [ ! -e "$1" ] || grep -qs "$mark" "$1"
}

remove() {
    if [ -x "$bin/netjail" ] && ours "$bin/netjail"; then
        "$bin/netjail" down --all || die "some jails are in use, nothing was removed" \
            "end the programs in them ('netjail ps'), or: sudo netjail down --all --kill"
    fi
    local name
    for name in netjail netjaild; do
        if ours "$bin/$name"; then
            rm -f "$bin/$name"
        else
            say "$bin/$name was not made by this installation: left alone."
        fi
    done
    rm -rf "$target"
    say "netjail is gone. Your profiles, if any, are still in /etc/netjail; installed packages stay."
}

install_python_part() {
    local name version source=$work/source log=$work/log
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "netjail needs Python 3.11 or later, and $python is $("$python" -V 2>&1)" \
            "Debian 12 and Ubuntu 24.04 have it."
    for name in netjail netjaild; do
        ours "$bin/$name" || die "$bin/$name is there already and not ours" \
            "move it away, then run this again"
    done
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    # An environment of another Python (after an upgrade of the system), or half of one.
    if [ ! -d "$target/lib/python$version/site-packages" ] ||
        ! "$target/bin/python" -m pip --version >/dev/null 2>&1; then
        rm -rf "$target"
    fi
    mkdir "$source"
    # Built from a copy: the checkout may be another user's, or read-only.
    cp -R --no-preserve=ownership "$checkout/netjail" "$checkout/pyproject.toml" \
        "$checkout/README.md" "$checkout/LICENSE" "$checkout/data" "$source/"
    find "$source" -name __pycache__ -prune -exec rm -rf {} +
    say "Installing netjail into $target"
    if ! {
        { [ -d "$target" ] || "$python" -m venv --system-site-packages "$target"; } &&
            "$target/bin/python" -m pip --disable-pip-version-check --no-input install \
                --quiet --root-user-action=ignore --no-cache-dir --no-build-isolation \
                --upgrade "$source"
    } >"$log" 2>&1 </dev/null; then
        tail -n 8 "$log" >&2
        if grep -qiE 'connection|timed out|resolution|no matching distribution|proxy' "$log"; then
            die "Python packages that netjail needs could not be fetched" \
                "If this machine is offline, connect it. pip's own settings (pip.conf, PIP_*)" \
                "hold for this too. Then run this again."
        fi
        die "netjail could not be installed" "the last lines of pip's output are above"
    fi
    local packages=$target/lib/python$version/site-packages
    "$target/bin/python" -m compileall -q -f "$packages/netjail" >/dev/null ||
        die "netjail's files could not be compiled"
    chown -R root:root "$target"
    chmod -R u+rwX,go+rX,go-w "$target"
    launcher netjail netjail.main:main
    launcher netjaild netjail.daemon.__main__:main
}

launcher() { # NAME ENTRY
    local new
    mkdir -p "$bin"
    new=$(mktemp "$bin/.netjail-XXXXXX")
    "$target/bin/python" -I -c '
import sys
from netjail.launch import stub
python, directory, entry = sys.argv[1:]
sys.stdout.write(stub.render(python, directory, entry=entry))
' "$target/bin/python" "$packages" "$2" >"$new"
    chmod 0755 "$new"
    mv -f "$new" "$bin/$1"
}

demo=yes
words=()
for word; do
    case $word in
    -h | --help)
        usage
        exit 0
        ;;
    --no-demo) demo=no ;;
    --remove) demo=remove ;;
    *) words+=("$word") ;;
    esac
done

[ "$(id -u)" = 0 ] || die "only root can install netjail and make network namespaces" \
    "sudo packaging/demo.sh"
if [ "$demo" = remove ]; then
    remove
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
need_packages python3 python3-venv python3-pip python3-setuptools python3-wheel \
    python3-pyroute2 python3-nftables python3-tomli-w python3-xdg \
    iproute2 util-linux nftables wireguard-tools wireguard-go dnsmasq-base \
    curl tcpdump ca-certificates
install_python_part

status=0
if [ "$demo" = yes ]; then
    say
    "$bin/netjail" demo ${words[@]+"${words[@]}"} || status=$?
fi
say
say "netjail $("$bin/netjail" --version | sed 's/^netjail //') is installed: $bin/netjail"
case ":${PATH}:" in
*":$bin:"*) ;;
*) say "$bin is not on your PATH: type the whole name, or  export PATH=\$PATH:$bin" ;;
esac
say "Next: netjail --help     (and to take it away again: sudo $here/demo.sh --remove)"
exit "$status"
