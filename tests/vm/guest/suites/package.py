# SPDX-License-Identifier: GPL-3.0-or-later
"""The package as a package: what it installs, an upgrade with a program running, removal, purge."""
# place: last

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import guest
import provider
from guest import background, eventually, main, needed, netjail, sh, test
from helper import helper_pid, helper_runs

NEXT = "99.0-1"
COPY = Path("/run/netjail-tests/package")
ENVIRONMENT = ["env", "DEBIAN_FRONTEND=noninteractive"]


@test
def installed_whole() -> None:
    """What is installed is what was packaged, compiled, with Python's options in the launchers"""
    sh("dpkg --verify netjail")
    assert not sh("dpkg --audit").text
    assert Path("/usr/bin/netjail").read_text().startswith("#!/usr/bin/python3 -IS\n")
    assert Path("/usr/sbin/netjaild").read_text().startswith("#!/usr/bin/python3 -I\n")
    assert list(Path("/usr/share/netjail/netjail/__pycache__").glob("main.*.pyc"))
    assert list(Path("/usr/share/netjail/wgconfig/__pycache__").glob("__init__.*.pyc"))
    version = sh("dpkg-query -W -f ${Version} netjail").text.split("-")[0]
    assert version in sh("netjail --version").out
    sh("netjaild --version")


@test
def nobody_else_can_write_it() -> None:
    """Nothing that root runs can be written by anybody else"""
    for path in sh("dpkg -L netjail").out.split("\n"):
        # The image leaves documentation out.
        if path and os.path.exists(path) and not os.path.islink(path):
            status = os.stat(path)
            assert status.st_uid == 0 and not status.st_mode & 0o022, path


@test
@needed
def a_program_runs() -> None:
    """A tunnel is up"""
    provider.start()
    if not os.path.exists("/etc/netjail/profiles/vpn.toml"):  # from another suite
        sh(f"netjail import {provider.LOGS}/provider.conf --name vpn")
    assert sh(f"netjail run vpn curl -s -m 20 http://{provider.WEB}/").text == provider.JAIL4


@test
def upgrade_with_a_program_running() -> None:
    """An upgrade restarts the helper; tunnel and program go on as if nothing happened"""
    script = f"while sleep 1; do curl -s -m 3 http://{provider.WEB}/ || echo none; done"
    with background(["netjail", "run", "vpn", "sh", "-c", script]) as program:
        eventually(lambda: program.pid in inside("vpn"), "ps knows the program")
        helper = helper_pid()
        link = sh("ip -n netjail-vpn -o link show wg0").out.split(":")[0]
        out = install(next_version())
        assert "warning" not in out.lower(), out
        assert sh("dpkg-query -W -f ${Version} netjail").text == NEXT
        assert program.poll() is None
        assert helper_pid() != helper
        assert sh("ip -n netjail-vpn -o link show wg0").out.split(":")[0] == link
        assert program.pid in inside("vpn")
        assert netjail("status vpn")["profiles"][0]["state"] == "up"
        time.sleep(2)
        program.terminate()
        answers, _ = program.communicate(timeout=20)
    assert "none" not in answers and set(answers.split()) == {provider.JAIL4}, answers


@test
def removal_with_a_program_running() -> None:
    """A removal leaves a jail with a program in it alone; what is installed again takes it over"""
    with background("netjail run vpn sleep 600") as program:
        eventually(lambda: program.pid in inside("vpn"), "ps knows the program")
        helper = helper_pid()
        out = dpkg("--remove", "netjail")
        assert "programs run in these profiles" in out and "vpn" in out, out
        assert not os.path.exists("/usr/share/netjail"), sh("find /usr/share/netjail").out
        assert program.poll() is None
        assert Path("/etc/netjail/profiles/vpn.toml").exists()
        install(guest.DEB)
        assert program.poll() is None
        assert program.pid in inside("vpn")
        assert helper_pid() != helper
        assert sh(f"netjail run vpn curl -s -m 20 http://{provider.WEB}/").text == provider.JAIL4


@test
def removal() -> None:
    """A removal with nothing running takes the jail down and keeps the profiles"""
    sh("netjail up vpn")
    postrm = COPY.with_suffix(".postrm")
    shutil.copy("/var/lib/dpkg/info/netjail.postrm", postrm)
    out = dpkg("--remove", "netjail")
    assert "warning" not in out.lower(), out
    assert "netjail" not in sh("ip netns").out
    eventually(lambda: not helper_runs(), "the helper is gone", seconds=5)
    assert Path("/etc/netjail/profiles/vpn.toml").exists()


@test
def purge() -> None:
    """A purge leaves no trace, and may be repeated"""
    out = dpkg("--purge", "netjail")
    assert "warning" not in out.lower(), out
    script = str(COPY.with_suffix(".postrm"))
    again = sh(["env", "DPKG_MAINTSCRIPT_PACKAGE=netjail", "sh", script, "purge"])
    assert not again.out + again.err
    places = "/etc /usr /var /run -xdev ( -path /usr/lib/modules -o -path /usr/local )"
    found = sh(f"find {places} -prune -o -iname *netjail* -print").out.split()
    # What is the test machine's own, or the kernel package's idea of a name.
    ours = [path for path in found if "netjail-tests" not in path and "netjail-vm" not in path]
    ours = [path for path in ours if "/dpkg/info" in path or "/apt/" not in path]
    assert not ours, ours
    assert "netjail" not in sh("nft list tables").out
    assert not sh("dpkg-query -W -f ${Status} netjail", ok=None).text.startswith("deinstall")


# What the tests share -------------------------------------------------------------------------


def dpkg(*words: str) -> str:
    done = sh([*ENVIRONMENT, "dpkg", *words], timeout=110)
    return done.out + done.err


def install(deb: str) -> str:
    return dpkg("--install", deb)


def next_version() -> str:
    """The package once more, with a higher version."""
    sh(f"dpkg-deb --raw-extract {guest.DEB} {COPY}")
    control = COPY / "DEBIAN/control"
    lines = control.read_text().splitlines()
    lines = [f"Version: {NEXT}" if line.startswith("Version:") else line for line in lines]
    control.write_text("\n".join(lines) + "\n")
    sh(f"dpkg-deb --root-owner-group -Znone --build {COPY} {COPY}.deb")
    shutil.rmtree(COPY)
    return f"{COPY}.deb"


def inside(profile: str) -> list[int]:
    return [each["pid"] for each in netjail(["ps", profile])["programs"]]


if __name__ == "__main__":
    main()
