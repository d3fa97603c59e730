# SPDX-License-Identifier: GPL-3.0-or-later
"""A flatpak of our own for tests: busybox as its runtime, and an application that says where it is.

install(desktop)     # `flatpak --user install` from a repository made there; None, or why not
"""

from __future__ import annotations

from desk import Desktop

APP = "org.netjail.Probe"
_SCRIPT = r"""
set -e
mkdir "$HOME/fp"
cd "$HOME/fp"
mkdir -p rt/files/bin rt/files/lib rt/files/lib64 app/files/bin
arch=$(flatpak --default-arch)
printf '[Runtime]\nname=org.netjail.Platform\nruntime=%s\nsdk=%s\n' \
    org.netjail.Platform/$arch/1 org.netjail.Platform/$arch/1 > rt/metadata
busybox=$(command -v busybox)
cp "$busybox" rt/files/bin/busybox
for each in $(ldd "$busybox" | grep -o '/[^ ]*' || :); do
    case $each in
    */ld-*) cp -L "$each" rt/files/lib64/; cp -L "$each" rt/files/lib/ ;;
    *) cp -L "$each" rt/files/lib/ ;;
    esac
done
for each in sh cat readlink sleep; do ln -s busybox rt/files/bin/$each; done
flatpak build-export --runtime --files=files repo rt 1
printf '[Application]\nname=%s\nruntime=%s\nsdk=%s\ncommand=probe\n' \
    org.netjail.Probe org.netjail.Platform/$arch/1 org.netjail.Platform/$arch/1 > app/metadata
printf '[Context]\nshared=network;\nfilesystems=home;\n' >> app/metadata
mkdir -p app/export/share/applications
printf '#!/bin/sh\nreadlink /proc/self/ns/net\ncat /etc/resolv.conf\n' > app/files/bin/probe
chmod 755 app/files/bin/probe
printf '[Desktop Entry]\nType=Application\nName=Flat probe\nExec=probe\n' \
    > app/export/share/applications/org.netjail.Probe.desktop
flatpak build-export repo app 1
flatpak --user remote-add --no-gpg-verify local "file://$HOME/fp/repo"
flatpak --user install -y --noninteractive local org.netjail.Probe//1
"""


def install(desktop: Desktop) -> str | None:
    done = desktop.run("sh", "-c", _SCRIPT)
    if done.returncode:
        return f"no flatpak can be made here: {(done.stderr or done.stdout).strip()[-300:]}"
    probe = desktop.run("flatpak", "run", APP)
    if probe.returncode:
        return f"no flatpak can be started here: {probe.stderr.strip()[-300:]}"
    return None
