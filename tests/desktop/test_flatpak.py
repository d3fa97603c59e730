# SPDX-License-Identifier: GPL-3.0-or-later
"""A real flatpak, with a runtime made here, is in the jail: its network and its resolver."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import desk
import flatbox

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (desk.shutil.which("flatpak") and desk.shutil.which("busybox")),
        reason="flatpak or busybox is not installed",
    ),
]
PROFILE = 'version = 1\n[uplink]\nkind = "none"\n[dns]\nmode = "static"\nservers = ["10.9.8.7"]\n'
ENTRY = f"{flatbox.APP}.desktop"
HOST = "nameserver 192.0.2.53"


@pytest.fixture(scope="module")
def flat(desktop: desk.Desktop) -> desk.Desktop:
    world = desktop.world
    world.path("/etc/resolv.conf").unlink(missing_ok=True)
    world.write("/etc/resolv.conf", f"{HOST}\n")
    reason = flatbox.install(desktop)
    if reason is not None:
        pytest.skip(reason)
    for name, more in (("jail", ""), ("filtered", "[isolation]\ndbus = true\n")):
        world.write(f"/run/{name}.toml", PROFILE + more)
        done = world.netjail("profile", "add", f"/run/{name}.toml", "--name", name)
        assert done.returncode == 0, done.stderr
    return desktop


def run(desktop: desk.Desktop, *words: str) -> tuple[str, list[str]]:
    """Its network namespace, and its resolv.conf without the comments."""
    done = desktop.run(*words)
    assert done.returncode == 0, done.stderr
    net, *lines = done.stdout.splitlines()
    return net, [line for line in lines if not line.startswith("#")]


@pytest.mark.parametrize("profile", ["jail", "filtered"])
def test_it_has_the_jails_network_and_resolver(flat: desk.Desktop, profile: str) -> None:
    if profile == "filtered" and desk.shutil.which("xdg-dbus-proxy") is None:
        pytest.skip("xdg-dbus-proxy is not installed")
    jail = flat.netjail("run", profile, "readlink", "/proc/self/ns/net").stdout.strip()
    outside = flat.run("readlink", "/proc/self/ns/net").stdout.strip()
    netjail = (sys.executable, "-m", "netjail", "run", profile)
    assert run(flat, *netjail, ENTRY) == (jail, ["nameserver 10.9.8.7"])
    assert run(flat, *netjail, "flatpak", "run", flatbox.APP) == (jail, ["nameserver 10.9.8.7"])
    assert run(flat, "flatpak", "run", flatbox.APP) == (outside, [HOST]), "nothing changes outside"


def test_a_pinned_one_too(flat: desk.Desktop) -> None:
    assert flat.netjail("app", "pin", ENTRY, "jail").returncode == 0
    try:
        jail = flat.netjail("run", "jail", "readlink", "/proc/self/ns/net").stdout.strip()
        entry = flat.world.path(f"{flat.home}/.local/share/applications/{ENTRY}").read_text()
        (line,) = [each for each in entry.splitlines() if each.startswith("Exec=")]
        words = line.removeprefix("Exec=").split()
        words[0] = f"{sys.executable} -m netjail" if words[0] == "netjail" else words[0]
        assert run(flat, "sh", "-c", " ".join(words)) == (jail, ["nameserver 10.9.8.7"])
    finally:
        assert flat.netjail("app", "unpin", ENTRY).returncode == 0
