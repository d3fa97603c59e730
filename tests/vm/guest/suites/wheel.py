# SPDX-License-Identifier: GPL-3.0-or-later
"""netjail from its wheel: `sudo netjail setup` makes it the system's, `--remove` takes it back."""
# place: last

from __future__ import annotations

import json
import os
import pwd
import shutil
from pathlib import Path

import provider
from guest import DEB, RESULTS, at_seat, eventually, main, needed, sh, test
from helper import helper_pid, helper_runs
from seated import let_sit

BOB = pwd.getpwnam("bob")
HOME = Path("/opt/netjail")
OWN = HOME / "bin/netjail"
COMMAND = Path("/usr/local/bin/netjail")
PLACES = ["/usr/local", "/usr/share/polkit-1", "/usr/share/dbus-1", "/etc", "/usr/lib/systemd"]
FILE = "/home/bob/provider.conf"
left: list[str] = []


def bob(command: str, **more):
    return at_seat(command, user="bob", **more)


@test
@needed
def from_a_wheel() -> None:
    """The package goes, the wheel comes into a virtual environment of root's"""
    let_sit("bob")
    provider.start()
    if not shutil.which("netjail"):  # the suite `package` ends with its removal
        sh(["env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--install", DEB], timeout=110)
    shutil.copy(provider.LOGS / "provider.conf", FILE)
    os.chown(FILE, BOB.pw_uid, BOB.pw_gid)
    # Debian has no wgconfig of its own; the package brings it along
    shutil.copytree("/usr/share/netjail/wgconfig", "/run/netjail-tests/wgconfig")
    sh("netjail down --all")
    sh("dpkg --purge netjail")
    assert not shutil.which("netjail")
    sh(f"python3 -m venv --system-site-packages {HOME}", timeout=110)
    (wheel,) = RESULTS.glob("netjail-*.whl")
    sh(f"{HOME}/bin/pip install --no-index --no-deps {wheel}", timeout=110)
    (packages,) = HOME.glob("lib/python3*/site-packages")
    shutil.copytree("/run/netjail-tests/wgconfig", packages / "wgconfig")
    assert "netjail " in sh(f"{OWN} --version").out
    left.extend(everything())


@test
def an_ordinary_user_cannot() -> None:
    """Nobody but root sets it up; without that, it is said what is missing"""
    done = bob(f"{OWN} setup", ok=False)
    assert "sudo" in done.err, done
    done = bob(f"{OWN} list", ok=False)
    assert "netjail setup" in done.err or "sudo" in done.err, done
    assert everything() == left


@test
def not_what_others_can_write() -> None:
    """Code that others than root can write is refused: by setup, and by the helper on the bus"""
    (module,) = HOME.glob("lib/python3*/site-packages/netjail/names.py")
    os.chown(module, BOB.pw_uid, -1)
    try:
        for words in (f"{OWN} setup", f"{HOME}/bin/netjaild"):
            done = sh(words, ok=False)
            assert "names.py belongs to bob" in done.err, done
        assert everything() == left
    finally:
        os.chown(module, 0, -1)


@test
@needed
def set_up() -> None:
    """setup writes what it prints, and what the system has to know of"""
    printed = {each["path"] for each in files("setup --print")}
    assert everything() == left
    written = files("setup")
    assert {each["path"] for each in written} == printed
    assert {each["change"] for each in written} == {"written"}
    assert set(everything()) - set(left) >= printed - {"/"}
    for path in ("/usr/share/polkit-1/actions/org.netjail.policy", str(COMMAND)):
        assert path in printed, printed
    assert sh("systemctl show netjaild -p LoadState --value").text == "loaded"
    assert "org.netjail.run" in sh("pkaction").out
    assert {each["change"] for each in files("setup")} == {"unchanged"}


@test
@needed
def without_sudo() -> None:
    """An ordinary user at the seat then needs no sudo and no password; the bus starts the helper"""
    assert sh("systemctl is-active netjaild", ok=None).text != "active"
    bob(f"netjail import {FILE} --name mine")
    assert sh("systemctl show netjaild -p MainPID --value").text == str(helper_pid())
    assert f"{HOME}/" in Path(f"/proc/{helper_pid()}/cmdline").read_text()
    answer = bob(f"netjail run mine curl -s -m 20 http://{provider.WEB}/")
    assert answer.text == provider.JAIL4
    assert bob("netjail run mine id -u").text == str(BOB.pw_uid)
    assert bob("which netjail").text == str(COMMAND)


@test
def the_service_refuses_code_of_others() -> None:
    """The system's service does not start from code that others can write; what is up stays up"""
    (module,) = HOME.glob("lib/python3*/site-packages/netjail/names.py")
    sh("systemctl stop netjaild")
    os.chmod(module, 0o666)
    try:
        sh("systemctl start netjaild", ok=False)
        assert "can be written by everybody" in sh("journalctl -b -u netjaild --no-pager").out
        assert not helper_runs()
        assert "netjail-mine" in sh("ip netns").out
    finally:
        os.chmod(module, 0o644)
    sh("systemctl reset-failed netjaild", ok=None)
    sh("systemctl start netjaild")
    assert bob(f"netjail run mine curl -s -m 20 http://{provider.WEB}/").text == provider.JAIL4


@test
def removed_again() -> None:
    """--remove waits for what is up, and then leaves nothing behind"""
    done = sh(f"{COMMAND} setup --remove", ok=False)
    assert "netjail down --all" in done.err, done
    bob("netjail down mine")
    bob("netjail profile remove mine")
    sh(f"{OWN} setup --remove")
    eventually(lambda: not helper_runs(), "the helper is gone")
    now = [path for path in everything() if not path.startswith("/etc/netjail")]
    assert now == [path for path in left if not path.startswith("/etc/netjail")], set(now) ^ set(
        left
    )
    assert "org.netjail" not in sh("pkaction").out
    assert sh("systemctl show netjaild -p LoadState --value").text == "not-found"
    assert "netjail" not in sh("ip netns").out
    assert "netjail" not in sh("nft list tables").out
    failed = sh("systemctl --failed --no-legend --plain").text
    assert "netjail" not in failed, failed


@test
def put_away() -> None:
    """Nothing of the suite is left"""
    shutil.rmtree(HOME)
    assert not os.path.exists(COMMAND)


# What the tests share -------------------------------------------------------------------------


def files(words: str) -> list[dict]:
    """What `netjail setup` says that it did to which file."""
    return json.loads(sh(f"{OWN} --json {words}").out)["result"]["files"]


def everything() -> list[str]:
    """What there is at the places that setup writes to."""
    found = []
    for place in PLACES:
        for where, directories, names in os.walk(place):
            found += [f"{where}/{name}" for name in (*directories, *names)]
    return sorted(path for path in found if "mtab" not in path)


if __name__ == "__main__":
    try:
        main()
    finally:
        let_sit(None)
