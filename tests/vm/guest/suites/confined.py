# SPDX-License-Identifier: GPL-3.0-or-later
"""AppArmor: a program has the profile of whoever asked for it, as if they had executed it."""

from __future__ import annotations

import pwd
from pathlib import Path

from guest import Skip, at_seat, eventually, main, needed, netjail, sh, test
from helper import helper_pid
from seated import let_sit

BOB = pwd.getpwnam("bob")
RULES = Path("/run/netjail-tests/apparmor")
DROP_IN = Path("/run/systemd/system/netjaild.service.d/apparmor.conf")
FORBIDDEN = "/home/bob/forbidden"
TEXT = f"""
profile netjail-tests-shell flags=(attach_disconnected) {{
  file,
  capability,
  network,
  mount,
  umount,
  remount,
  unix,
  signal,
  ptrace,
  dbus,
  deny {FORBIDDEN} r,
  deny /usr/bin/tac x,
  /usr/bin/nproc px -> netjail-tests-next,
}}
profile netjail-tests-next flags=(attach_disconnected) {{
  file,
  unix,
  signal,
}}
profile netjail-tests-helper flags=(attach_disconnected) {{
  file,
  capability,
  network,
  mount,
  umount,
  remount,
  pivot_root,
  unix,
  signal,
  ptrace,
  dbus,
}}
"""
LABEL = "netjail-tests-shell (enforce)"
CURRENT = "cat /proc/self/attr/current"
CONFINED = "aa-exec -p netjail-tests-shell --"


def bob(command: str, **more):
    return at_seat(command, user="bob", **more)


@test
@needed
def apparmor_is_there() -> None:
    """AppArmor is at work, and a profile is loaded"""
    if Path("/sys/module/apparmor/parameters/enabled").read_text().strip() != "Y":
        raise Skip("this kernel has no AppArmor")
    RULES.write_text(TEXT)
    sh(["apparmor_parser", "--replace", "--skip-cache", str(RULES)])
    let_sit("bob")
    path = Path(FORBIDDEN)
    path.write_text("seen\n")
    path.chmod(0o644)
    lab = Path("/run/netjail-tests/lab.toml")
    lab.write_text('version = 1\nusers = []\n[uplink]\nkind = "none"\n')
    sh(f"netjail profile add {lab} --name lab")
    sh("netjail up lab")
    assert bob(f"{CONFINED} {CURRENT}").text == LABEL


@test
def unconfined_as_before() -> None:
    """Whoever is not confined gets a program that is not"""
    assert bob(f"netjail run lab {CURRENT}").text == "unconfined"
    assert bob(f"netjail run lab cat {FORBIDDEN}").text == "seen"


@test
def the_program_is_confined_as_its_caller() -> None:
    """A program started from a confined shell has the shell's profile, which holds"""
    assert bob(f"{CONFINED} netjail run lab {CURRENT}").text == LABEL
    done = bob(f"{CONFINED} netjail run lab cat {FORBIDDEN}", ok=False)
    assert "Permission denied" in done.err and "seen" not in done.out, done
    inside, outside = f"{CONFINED} netjail run lab ", f"{CONFINED} "
    command = "readlink /proc/self/ns/net"
    assert bob(inside + command).text != bob(outside + command).text


@test
def on_a_terminal_too() -> None:
    """The same on a terminal"""
    words = f"{CONFINED} netjail run lab {CURRENT}"
    assert LABEL in bob(["script", "-qec", words, "/dev/null"]).out


@test
def what_it_may_execute_is_the_profiles_to_say() -> None:
    """What the profile says of executing a program holds as it would outside"""
    # (aa-exec's own exec is not judged, so there is a shell between)
    for prefix in ("", "netjail run lab "):
        done = bob(f"{CONFINED} sh -c '{prefix}tac /dev/null'", ok=False)
        assert "Permission denied" in done.err, done
    assert done.code == 126 and done.err.startswith("netjail: "), done
    assert bob("netjail run lab tac /dev/null").code == 0
    # by its own rule into another profile, in which /proc can be read, and nothing else is said
    assert bob(f"{CONFINED} sh -c 'netjail run lab nproc'").text.isdigit()


@test
def on_the_bus_as_well() -> None:
    """A program that is started by the bus is confined like its caller"""
    path = "/org/netjail/Netjail1/profile/lab"
    out = Path("/home/bob/label")
    script = f"{CURRENT} >{out}"
    words = ["busctl", "call", "--", "org.netjail.Netjail1", path, "org.netjail.Netjail1.Profile"]
    launch = [*words, "Launch", "asa{sv}", "3", "sh", "-c", script, "0"]
    at_seat([*CONFINED.split(), *launch], user="bob")
    eventually(lambda: out.read_text().strip() == LABEL, "the label is written")


@test
def sudo_in_place() -> None:
    """A program of root's, started in place, keeps its profile"""
    assert sh(f"{CONFINED} netjail run -u root lab {CURRENT}").text == LABEL


@test
def never_without_confinement() -> None:
    """A helper that may not change the profile starts nothing, and says why"""
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    DROP_IN.write_text("[Service]\nAppArmorProfile=netjail-tests-helper\n")
    sh("systemctl daemon-reload")
    sh("systemctl restart netjaild")
    try:
        label = Path(f"/proc/{helper_pid()}/attr/current").read_text()
        assert label.startswith("netjail-tests-helper"), label
        for prefix in ("", f"{CONFINED} "):
            done = bob(f"{prefix}netjail run lab {CURRENT}", ok=False)
            assert done.code == 125 and not done.out, done
            assert "the caller's AppArmor profile cannot be taken on" in done.err, done
            assert len(done.err.strip().splitlines()) <= 2, done
    finally:
        DROP_IN.unlink()
        DROP_IN.parent.rmdir()
        sh("systemctl daemon-reload")
        sh("systemctl restart netjaild")
    assert bob(f"{CONFINED} netjail run lab {CURRENT}").text == LABEL


@test
def put_away() -> None:
    """Nothing is left"""
    sh("netjail down lab")
    sh("netjail profile remove lab")
    sh(["apparmor_parser", "--remove", str(RULES)])
    assert not netjail("list")["profiles"] or "lab" not in str(netjail("list"))


if __name__ == "__main__":
    try:
        main()
    finally:
        let_sit(None)
