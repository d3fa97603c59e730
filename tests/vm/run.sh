#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The acceptance machine: tests/vm/run.sh [bookworm|trixie ...] [SUITE ...]
#
# Builds netjail's .deb on each Debian named (both, if none is), installs it in an image of that
# Debian, boots the image and runs the suites in it: those named, else all on the newest Debian, and
# on others root's and an ordinary user's work, switches, uplinks and recipes. Images are kept in
# $NETJAIL_TESTS_CACHE, else $XDG_CACHE_HOME/netjail-tests, else /var/cache/netjail-tests.
#
#   --all           every suite on each Debian
#   --build         build the images, boot nothing         --list   name the suites
#   --fresh         forget the cached images first         --time-limit SECONDS of one boot
#   --shell         boot, then a login on this terminal        --rev COMMIT  package that commit,
#                   (root, root)                                       not the work tree
#
# NETJAIL_TESTS_MIRROR=URI where the machine's own apt knows no Debian archive.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

[ "$(id -u)" = 0 ] || { echo "tests/vm/run.sh: needs root (chroot, overlay mounts)" >&2; exit 1; }

missing=
command -v qemu-system-x86_64 >/dev/null || missing="$missing qemu-system-x86"
command -v mmdebstrap >/dev/null || missing="$missing mmdebstrap"
command -v mke2fs >/dev/null || missing="$missing e2fsprogs"
command -v unshare >/dev/null || missing="$missing util-linux"
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] ||
    missing="$missing debian-archive-keyring"
if [ -n "$missing" ]; then
    if ! command -v apt-get >/dev/null; then
        echo "tests/vm/run.sh: needs$missing, and there is no apt-get to install them" >&2
        exit 77
    fi
    echo "tests/vm/run.sh: installs$missing (apt-get install --no-install-recommends)"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >/dev/null || echo "tests/vm/run.sh: apt-get update failed; going on" >&2
    # shellcheck disable=SC2086  # a list of words
    apt-get install -q -y --no-install-recommends $missing >/dev/null ||
        { echo "tests/vm/run.sh: could not install$missing" >&2; exit 77; }
fi

exec python3 -B "$here/vmrun.py" "$@"
