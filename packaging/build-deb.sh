#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Build netjail's Debian package: packaging/build-deb.sh [--output DIRECTORY] [--source] [--install-deps]
#
# dpkg-buildpackage wants debian/ at the top of the source, where this repository has no room for
# it: the files are copied to a temporary directory, packaging/debian becomes debian/ there, and
# the packages are left in DIRECTORY (../netjail-deb beside the checkout, if not given).
#
#   --source        the source package as well (.dsc, .orig.tar.xz, .debian.tar.xz)
#   --install-deps  install what the build needs first (as root); else it only says what is missing
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
output=$(dirname "$here")/netjail-deb
what=--build=binary
install=
while [ $# -gt 0 ]; do
    case $1 in
        --output) output=$2; shift 2 ;;
        --source) what=--build=full; shift ;;
        --install-deps) install=yes; shift ;;
        *) sed -n '3,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done

needs="debhelper dh-python dpkg-dev pybuild-plugin-pyproject python3-setuptools"
missing=
for package in $needs; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
        missing="$missing $package"
done
if [ -n "$missing" ] && [ -n "$install" ]; then
    echo "build-deb.sh: installs$missing" >&2
    # shellcheck disable=SC2086  # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing >&2
elif [ -n "$missing" ]; then
    echo "build-deb.sh: this needs$missing (apt-get install, or give --install-deps)" >&2
    exit 1
fi

version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$here/netjail/__init__.py")
packaged=$(dpkg-parsechangelog -l "$here/packaging/debian/changelog" -S Version)
if [ "${packaged%-*}" != "$version" ]; then
    echo "build-deb.sh: netjail is $version, but packaging/debian/changelog says $packaged" >&2
    exit 1
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/netjail-deb.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
tree=$work/netjail-$version
mkdir "$tree"
for top in CHANGELOG.md LICENSE README.md data docs netjail netjail.desktop pyproject.toml; do
    [ ! -e "$here/$top" ] || cp -a "$here/$top" "$tree/"
done
find "$tree" -name __pycache__ -prune -exec rm -r {} +
chmod -R u+rwX,go+rX,go-w "$tree"
if [ "$what" = --build=full ]; then
    tar -C "$work" -cJf "$work/netjail_$version.orig.tar.xz" --owner=0 --group=0 --sort=name \
        "netjail-$version"
fi
cp -a "$here/packaging/debian" "$tree/debian"
find "$tree/debian" -name __pycache__ -prune -exec rm -r {} +

(cd "$tree" && dpkg-buildpackage --unsigned-source --unsigned-changes "$what")

mkdir -p "$output"
find "$work" -maxdepth 1 -type f -exec cp {} "$output/" \;
echo "build-deb.sh: $(ls "$output"/netjail_"$packaged"_all.deb)"
