# SPDX-License-Identifier: GPL-3.0-or-later
"""netjail as an ordinary user: bob, who may not administer the machine.

First at the seat, then over ssh, where polkit asks for the password of alice, who may.
"""

from __future__ import annotations

import json
import os
import pwd
import signal
from pathlib import Path

import pexpect
import provider
from guest import at_seat, by_ssh, eventually, main, needed, netjail, sh, test
from helper import helper_pid
from program import WHO, descriptors, seen_in_proc, session
from seated import going_on, let_sit

BOB = pwd.getpwnam("bob")
FILE = "/home/bob/provider.conf"
WHOAMI = "python3 /home/bob/who.py"
FETCH = f"curl -s -m 20 http://{provider.WEB}/"
SSH = ["-tt", "-o", "BatchMode=yes", "-o", "Ciphers=aes128-ctr", "bob@localhost"]
PASSWORD = "alice"


def seat(command: str | list[str], **more):
    return at_seat(command, user="bob", **more)


def far(command: str | list[str], **more):
    return by_ssh(command, user="bob", **more)


@test
@needed
def bob_sits_at_the_machine() -> None:
    """The session at the seat is an ordinary user's, active and local; there is a provider"""
    let_sit("bob")
    session = seat(["sh", "-c", "loginctl show-session $XDG_SESSION_ID"]).out.split()
    for wanted in ("Name=bob", "Seat=seat0", "Active=yes", "Remote=no", "VTNr=1"):
        assert wanted in session, wanted
    assert "sudo" not in seat("id -Gn").out.split()
    seat("sudo -n true", ok=False)
    provider.start()
    Path("/home/bob/who.py").write_text(WHO)
    Path(FILE).write_text((provider.LOGS / "provider.conf").read_text())
    os.chown(FILE, BOB.pw_uid, BOB.pw_gid)
    os.chmod(FILE, 0o600)
    put("shared", "users = []")
    put("hers", 'users = ["alice"]')


@test
def the_bus_starts_the_helper() -> None:
    """A user's command has the bus start the helper, as the system service"""
    sh("systemctl stop netjaild")
    assert state_of_service() != "active"
    assert "shared" in seat("netjail list").out
    assert state_of_service() == "active"
    assert sh("systemctl show netjaild -p MainPID --value").text == str(helper_pid())


@test
@needed
def imported_without_a_password() -> None:
    """At the seat a VPN is imported without a password, and is the user's own"""
    seat(f"netjail import {FILE} --name mine")
    assert 'users = ["bob"]' in seat("netjail profile show mine").out
    assert "mine" in seat("netjail list").out
    assert oct(os.stat("/etc/netjail/profiles/mine.toml").st_mode)[-3:] == "600"
    seat("cat /etc/netjail/profiles/mine.toml", ok=False)


@test
@needed
def used_without_a_password() -> None:
    """At the seat run goes through the kernel's WireGuard; up, list, status, down work"""
    assert seat(f"netjail run mine {FETCH}").text == provider.JAIL4
    assert seat(FETCH).text == provider.HOST4
    assert provider.uplink("mine")["implementation"] == "kernel"
    assert provider.BY_TUNNEL in seat("netjail run mine getent ahostsv4 which.example").out
    assert states()["mine"] == "up"
    assert provider.ISP4 in seat("netjail status mine").out
    seat("netjail down mine")
    assert states()["mine"] == "down"
    seat("netjail up mine")
    assert states()["mine"] == "up"
    assert seat("netjail run mine sh -c 'exit 7'", ok=None).code == 7


@test
def program_is_the_user_s() -> None:
    """The program is the user's: ids, groups, no capability, logind's session, its cgroup"""
    plain, jailed = json.loads(seat(WHOAMI).out), json.loads(seat(f"netjail run mine {WHOAMI}").out)
    assert jailed["uids"].split() == [str(BOB.pw_uid)] * 4
    assert jailed["caps"] == ["0000000000000000"] * 4, jailed["caps"]
    plain["caps"][0] = jailed["caps"][0]  # see program.py
    assert "/session-" in jailed["cgroup"], jailed["cgroup"]
    assert jailed.pop("net") != plain.pop("net")
    assert jailed.pop("session") != plain.pop("session")  # the audit system's, see program.py
    assert jailed == plain, (jailed, plain)


@test
def nothing_of_root_is_left() -> None:
    """/proc/PID of the program shows nothing that a program outside has not"""
    words = ["sleep", "80.5"]
    with going_on(words, "bob"):
        outside = eventually(lambda: find(words), "the program outside runs")
        plain = seen_in_proc(outside)
        open_outside = descriptors(outside)
        with going_on(["netjail", "run", "mine", "sleep", "81.5"], "bob"):
            pid = eventually(lambda: find(["sleep", "81.5"]), "the program inside runs")
            seen, opened = seen_in_proc(pid), descriptors(pid)
            assert session(pid) == session(outside)
            tree = sh(f"ps -o pid,ppid,user,cgroup,args -p {pid}").out
            os.kill(pid, signal.SIGTERM)
        os.kill(outside, signal.SIGTERM)
    different = {key: (seen[key], plain[key]) for key in plain if seen[key] != plain[key]}
    assert not different, (different, tree)
    assert sorted(opened) == sorted(open_outside) == [0, 1, 2], opened
    assert opened[0] == open_outside[0]
    for kind in ("net:", "mnt:", "/run/netjail", "/etc/netjail", "socket:"):
        assert not any(kind in target for target in opened.values()), opened


@test
def others_profiles() -> None:
    """`users` holds: what is another's can be neither used nor shown nor seen, at the seat"""
    assert "hers" not in states()
    done = seat("netjail run hers true", ok=False)
    assert done.code == 125 and "for other users only" in done.err, done
    for words in ("up hers", "profile show hers", "export hers", "profile remove hers"):
        assert "for other users only" in seat(f"netjail {words}", ok=False).err
    # alice is an administrator, and yet bob's is not hers to use.
    done = by_ssh("netjail list && netjail profile show mine", ok=False)
    assert "for other users only" in done.err and "mine" not in done.out, done


@test
def everybody_s_profile() -> None:
    """What is for everybody can be used, but its keys not be shown, nor the profile changed"""
    assert seat("netjail run shared cat /sys/class/net/lo/operstate").text == "unknown"
    for words in ("profile show shared", "export shared", "profile remove shared"):
        done = seat(f"netjail {words}", ok=False)
        assert "shared" in done.err and "agent" in done.err, done
    seat("netjail down shared")


@test
def refused_without_an_agent() -> None:
    """Over ssh, with nobody to ask for a password, it is refused, and why and what to do is said"""
    commands = ("run mine true", "up shared", "down mine", f"import {FILE} --name another")
    # In one session: it takes longer to begin one than to do all that.
    done = far("".join(f"netjail {words}; echo $?; " for words in commands) + "netjail list")
    statuses, listed = done.out.split()[:4], done.out.splitlines()[4:]
    assert statuses == ["125", "1", "1", "1"], done
    assert done.err.count("polkit agent") == 4 and "sudo netjail" in done.err, done
    assert any(line.split()[:1] == ["mine"] for line in listed), done
    assert states()["mine"] == "up"


@test
def asked_on_the_terminal() -> None:
    """Over ssh, on a terminal, polkit asks for the administrator's password, and then it works"""
    child = terminal(f"netjail run mine {WHOAMI}")
    child.expect("AUTHENTICATING FOR org.netjail.run")
    child.expect("Password: ")
    child.sendline(PASSWORD)
    child.expect("COMPLETE")
    child.expect(r"\{.*\}")
    said = json.loads(child.after)
    finish(child, 0)
    assert said["uids"].split() == [str(BOB.pw_uid)] * 4, said
    assert said["caps"] == ["0000000000000000"] * 4, said
    assert "/session-" in said["cgroup"], said


@test
def asked_again_and_wrongly() -> None:
    """A wrong password is refused; nothing is remembered; --no-ask-password does not ask"""
    child = terminal("netjail run shared true")
    child.expect("Password: ")
    child.sendline("wrong")
    child.expect("FAILED", timeout=60)
    child.expect("you may not use profile shared")
    finish(child, 125)
    child = terminal("netjail --no-ask-password run shared true")
    assert child.expect(["Password: ", "netjail: "]) == 1
    finish(child, 125)


@test
def helper_restarted() -> None:
    """The helper restarted: the program goes on, ps knows it, its status reaches the caller"""
    script = "while [ ! -e /home/bob/enough ]; do sleep 0.5; done; exit 9"
    words = ["netjail", "run", "mine", "sh", "-c", script]
    with going_on(words, "bob") as running:
        pid = eventually(lambda: find(words[3:]), "the program runs")
        old = helper_pid()
        sh("systemctl restart netjaild")
        assert helper_pid() != old
        assert pid in inside_pids()
        assert seat(f"netjail run mine {FETCH}").text == provider.JAIL4
        old = helper_pid()
        os.kill(old, signal.SIGKILL)
        assert pid in inside_pids()
        assert helper_pid() != old
        assert running.done is None
        Path("/home/bob/enough").touch()
    assert running.done and running.done.code == 9, running.done


@test
def killed_helper_and_root() -> None:
    """A helper killed with -9: root's next command waits for the service's next helper"""
    os.kill(helper_pid(), signal.SIGKILL)
    assert states_for_root()["mine"] == "up"
    assert sh("systemctl show netjaild -p MainPID --value").text == str(helper_pid())


@test
def leaves_nothing() -> None:
    """Taken down and removed without a password, nothing is left"""
    seat("netjail down --all")
    seat("netjail profile remove mine")
    sh("netjail down --all")
    sh("netjail profile remove shared")
    sh("netjail profile remove hers")
    assert "netjail" not in sh("ip netns").out
    assert not os.listdir("/run/netjail/jails")
    assert not sh("pgrep -x pkttyagent", ok=None).text
    failed = sh("systemctl --failed --no-legend --plain").text
    assert "netjail" not in failed, failed


# What the tests share -------------------------------------------------------------------------


def put(name: str, line: str) -> None:
    path = Path(f"/run/netjail-tests/{name}.toml")
    path.write_text(f'version = 1\n{line}\n[uplink]\nkind = "none"\n')
    sh(f"netjail profile add {path} --name {name}")


def states() -> dict[str, str]:
    """As bob sees them at the seat."""
    answer = json.loads(seat("netjail list --json").out)["result"]
    return {each["name"]: each["state"] for each in answer["profiles"]}


def states_for_root() -> dict[str, str]:
    return {each["name"]: each["state"] for each in netjail("list")["profiles"]}


def inside_pids() -> list[int]:
    answer = json.loads(seat("netjail ps mine --json").out)["result"]
    return [each["pid"] for each in answer["programs"]]


def find(argv: list[str]) -> int | None:
    """The process with exactly these arguments."""
    wanted = "\0".join(argv).encode() + b"\0"
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                if (place / "cmdline").read_bytes() == wanted:
                    return int(place.name)
            except OSError:
                continue
    return None


def state_of_service() -> str:
    return sh("systemctl is-active netjaild", ok=None).text


def terminal(line: str) -> pexpect.spawn:
    print("bob@terminal $", line, flush=True)
    child = pexpect.spawn("ssh", [*SSH, line], timeout=40, encoding="utf-8", codec_errors="replace")
    child.setwinsize(50, 1000)
    child.logfile_read = Said()
    return child


def finish(child: pexpect.spawn, status: int) -> None:
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == status, child.exitstatus


class Said:
    """What a terminal shows, into the log."""

    def write(self, text: str) -> None:
        print("  " + text.replace("\r\n", "\n  "), end="", flush=True)

    def flush(self) -> None:
        pass


if __name__ == "__main__":
    try:
        main()
    finally:
        let_sit(None)
