# SPDX-License-Identifier: GPL-3.0-or-later
"""Launching in real namespaces: every property of the jail's view, and of who runs in it."""

from __future__ import annotations

import errno
import fcntl
import glob
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location(
    "netjail_tests_jailbox", Path(__file__).with_name("jailbox.py")
)
assert _spec is not None
assert _spec.loader is not None
jailbox = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(jailbox)

_missing = jailbox.missing()
pytestmark = pytest.mark.skipif(_missing is not None, reason=str(_missing))

OURS = "nameserver 198.51.100.1"
SUDO = {"SUDO_UID": "7001", "SUDO_GID": "7001", "SUDO_USER": "alice"}
DOORS = tuple(
    f"hide\t{path}\t/run/netjail/view/lab/{shown}"
    for path, shown in (
        ("/run/systemd/resolve", "resolve"),
        ("/run/nscd", "empty"),
        ("/var/run/nscd", "empty"),
        ("/run/avahi-daemon", "empty"),
    )
)


@pytest.fixture(params=["private", "shared"])
def any_box(request: pytest.FixtureRequest) -> Iterator[jailbox.Box]:
    yield from _box(shared=request.param == "shared")


@pytest.fixture
def box() -> Iterator[jailbox.Box]:
    yield from _box()


def _box(shared: bool = False) -> Iterator[jailbox.Box]:
    box = jailbox.Box(shared=shared)
    try:
        box.jail("lab", *DOORS)
        yield box
    finally:
        box.close()


def output(box: jailbox.Box, *argv: str, options: tuple[str, ...] = (), **more: object) -> str:
    done = box.netjail("run", *options, "lab", "--", *argv, **more)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.rstrip("\n")


# the view


def test_resolv_conf_is_the_jails(box: jailbox.Box) -> None:
    assert output(box, "cat", "/etc/resolv.conf") == OURS
    assert output(box, "cat", "/etc/nsswitch.conf") == "hosts: files dns"


def test_the_rest_of_etc_is_the_hosts(box: jailbox.Box) -> None:
    box.sh("echo first > /etc/one; mkdir /etc/dir; echo deep > /etc/dir/two")
    assert output(box, "cat", "/etc/one", "/etc/dir/two") == "first\ndeep"
    done = box.netjail("run", "lab", "touch", "/etc/new")
    assert done.returncode == 1
    assert "Read-only" in done.stderr


def test_a_host_that_renames_a_new_resolv_conf_changes_nothing(any_box: jailbox.Box) -> None:
    with any_box.inside("lab") as shell:
        assert shell.ask("cat /etc/resolv.conf") == OURS
        for number in range(3):
            any_box.sh(f"echo nameserver 192.0.2.{number} > /etc/new; mv /etc/new /etc/resolv.conf")
            assert shell.ask("cat /etc/resolv.conf") == OURS
        any_box.sh("rm /etc/resolv.conf; ln -s ../run/elsewhere /etc/resolv.conf")
        assert shell.ask("cat /etc/resolv.conf") == OURS
        any_box.sh("echo nameserver 192.0.2.9 > /run/elsewhere; rm /etc/nsswitch.conf")
        assert shell.ask("cat /etc/resolv.conf; cat /etc/nsswitch.conf") == (
            f"{OURS}\nhosts: files dns"
        )


def test_new_dns_of_the_profile_is_seen_at_once_and_whole(box: jailbox.Box) -> None:
    dns = "/run/netjail/view/lab/dns"
    with box.inside("lab") as shell:
        for number in range(5):
            text = f"nameserver 198.51.100.{number}"
            box.sh(f"echo {text} > {dns}/new; mv {dns}/new {dns}/resolv.conf")
            assert shell.ask("cat /etc/resolv.conf") == text


def test_files_that_the_host_adds_are_seen(box: jailbox.Box) -> None:
    with box.inside("lab") as shell:
        box.sh("echo added > /etc/added")
        assert shell.ask("cat /etc/added") == "added"


@pytest.mark.parametrize(
    "make",
    [
        "ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf",
        "ln -sf ../run/no/such/file /etc/resolv.conf",
        "ln -sf /run/loop /etc/resolv.conf; ln -s /etc/resolv.conf /run/loop",
        "rm /etc/resolv.conf",
        "rm /etc/resolv.conf; mkdir /etc/resolv.conf",
        "echo bound > /run/bound; mount --bind /run/bound /etc/resolv.conf",
    ],
    ids=["symlink", "dangling", "loop", "none", "directory", "bind-mount"],
)
def test_whatever_resolv_conf_the_host_has(box: jailbox.Box, make: str) -> None:
    box.sh(make)
    box.write_enter("lab", *DOORS, "keep\t/etc/resolv.conf")
    assert output(box, "cat", "/etc/resolv.conf") == OURS
    assert output(box, "cat", "/etc/resolv.conf", env=SUDO) == OURS


def test_a_host_whose_etc_is_an_overlay_itself(box: jailbox.Box) -> None:
    box.sh(
        "mkdir /run/upper /run/work;"
        "mount -t overlay o -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work /etc;"
        "echo added > /etc/added; echo nameserver 192.0.2.1 > /etc/resolv.conf"
    )
    with box.inside("lab") as shell:
        assert shell.ask("cat /etc/resolv.conf /etc/added") == f"{OURS}\nadded"
        box.sh("echo nameserver 192.0.2.2 > /etc/new; mv /etc/new /etc/resolv.conf")
        assert shell.ask("cat /etc/resolv.conf") == OURS


def test_mounts_below_etc_are_carried_over(box: jailbox.Box) -> None:
    box.sh(
        "echo 192.0.2.7 container > /run/hosts; mount --bind /run/hosts /etc/hosts;"
        "mkdir -p /run/d/sub /etc/d; mount --bind /run/d /etc/d; mount -t tmpfs t /etc/d/sub;"
        "touch /etc/d/sub/inner; ln -s /etc/d '/etc/link'"
    )
    keeps = ("/etc/hosts", "/etc/d", "/etc/gone", "/etc/passwd", "/etc/link")
    box.write_enter("lab", *DOORS, *(f"keep\t{path}" for path in keeps))
    assert output(box, "cat", "/etc/hosts") == "192.0.2.7 container"
    assert output(box, "ls", "/etc/d", "/etc/d/sub") == "/etc/d:\nsub\n\n/etc/d/sub:\ninner"
    # three of the host, below the overlay, and three on it
    assert output(box, "grep", "-c", " /etc/", "/proc/self/mountinfo") == "6"


def test_hosts_of_the_profile_win_over_a_mount(box: jailbox.Box) -> None:
    box.sh(
        "echo host > /run/hosts; mount --bind /run/hosts /etc/hosts;"
        "echo ours > /run/netjail/view/lab/dns/hosts;"
        "ln -s /run/netjail/view/lab/dns/hosts /run/netjail/view/lab/etc/hosts"
    )
    box.write_enter("lab", *DOORS, "keep\t/etc/hosts")
    assert output(box, "cat", "/etc/hosts") == "ours"


def test_media_mounted_later_are_seen_by_programs_started_later(any_box: jailbox.Box) -> None:
    any_box.sh("mkdir /run/media")
    with any_box.inside("lab") as shell:
        any_box.sh("mount -t tmpfs t /run/media; touch /run/media/film")
        running = shell.ask("ls /run/media")
    assert output(any_box, "ls", "/run/media") == "film"
    shared = "shared:" in any_box.sh("awk '$5 == \"/\"' /proc/self/mountinfo")
    assert running == ("film" if shared else "")


def test_the_host_sees_nothing_of_our_mounts(any_box: jailbox.Box) -> None:
    any_box.sh("mkdir -p /run/nscd /run/systemd/resolve")
    before = any_box.sh("cat /proc/self/mountinfo | cut -d' ' -f3-")
    with any_box.inside("lab"):
        assert any_box.sh("cat /proc/self/mountinfo | cut -d' ' -f3-") == before
        assert any_box.sh("cat /etc/resolv.conf") == "nameserver 192.0.2.53\n"


def test_an_unmount_on_the_host_reaches_programs(box: jailbox.Box) -> None:
    with box.inside("lab") as shell:
        box.sh("ip netns add other")
        box.sh("ip netns del other")
        assert "other" not in shell.ask("cat /proc/self/mountinfo; ls /run/netns")


def test_sys_shows_the_jails_interfaces_and_the_hosts_mounts(box: jailbox.Box) -> None:
    assert output(box, "ls", "/sys/class/net") == "eth0\nlo"
    flags = output(box, "grep", "-E", "^[0-9]+ [0-9]+ [0-9:]+ / /sys ", "/proc/self/mountinfo")
    last = flags.splitlines()[-1]
    assert "nosuid,nodev,noexec" in last
    for path in ("/sys/fs/cgroup", "/sys/kernel/security", "/sys/fs/bpf"):
        if box.run("mountpoint", "-q", path, check=False) == "" and os.path.ismount(path):
            assert output(box, "stat", "-c", "%i %d", path) == box.run(
                "stat", "-c", "%i %d", path
            ).rstrip("\n")


def test_mounts_below_sys_are_carried_though_no_line_names_them(box: jailbox.Box) -> None:
    box.sh(
        "mount -t tmpfs t /sys/fs/cgroup; mkdir /sys/fs/cgroup/in;"
        "mount -t tmpfs t /sys/fs/cgroup/in; touch /sys/fs/cgroup/in/er;"
        "mount -t tmpfs t /sys/kernel/debug && touch /sys/kernel/debug/here;"
        "mount -t tmpfs t /sys/module && touch /sys/module/named"
    )
    box.write_enter("lab", *DOORS, "keep\t/sys/module", "keep\t/sys/gone", "keep\t/sys/fs/cgroup")
    assert output(box, "ls", "/sys/fs/cgroup/in", "/sys/kernel/debug", "/sys/module").split() == [
        "/sys/fs/cgroup/in:",
        "er",
        "/sys/kernel/debug:",
        "here",
        "/sys/module:",
        "named",
    ]


def test_a_read_only_sys_stays_so(box: jailbox.Box) -> None:
    box.sh("mount -o remount,bind,ro /sys")
    done = box.netjail("run", "lab", "sh", "-c", "echo 1 > /sys/class/net/lo/tx_queue_len")
    assert done.returncode != 0
    assert "Read-only" in done.stderr


# the doors


CONNECT = """
import socket, sys
for path in sys.argv[1:]:
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect(path)
        print("connected")
    except OSError as error:
        print(error.strerror)
"""


def test_sockets_of_the_hosts_resolvers_cannot_be_reached(box: jailbox.Box) -> None:
    paths = [
        "/run/systemd/resolve/io.systemd.Resolve",
        "/run/nscd/socket",
        "/run/avahi-daemon/socket",
    ]
    listeners: list[socket.socket] = []
    for path in paths:
        there = box.path(path)
        there.parent.mkdir(parents=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"/proc/{box.pid}/root{path}")
        listener.listen()
        there.chmod(0o777)
        listeners.append(listener)
        threading.Thread(target=_hang_up_on_all, args=[listener], daemon=True).start()
    paths += ["/var/run/nscd/socket"]
    on_host = box.run(sys.executable, "-c", CONNECT, *paths)
    assert on_host.split() == ["connected"] * 4
    for env in (SUDO, {}):
        inside = output(box, sys.executable, "-c", CONNECT, *paths, env=env)
        assert inside.splitlines() == ["No such file or directory"] * 4
    assert output(box, "cat", "/run/systemd/resolve/resolv.conf") == OURS
    done = box.netjail("run", "lab", "touch", "/run/nscd/x")
    assert "Read-only" in done.stderr
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)


def _hang_up_on_all(listener: socket.socket) -> None:
    """A resolver that answers nothing, without letting its clients wait."""
    with listener:
        try:
            while True:
                listener.accept()[0].close()
        except OSError:
            pass


def test_doors_that_do_not_exist_are_no_error(box: jailbox.Box) -> None:
    box.write_enter("lab", "hide\t/run/nowhere\t/run/netjail/view/lab/empty")
    assert output(box, "echo", "fine") == "fine"


# fail closed


@pytest.mark.parametrize(
    ("lines", "change", "word"),
    [
        ((), {"etc": "/run/netjail/view/gone/etc"}, "/etc"),
        ((), {"etc": "/run/netjail/view/lab/empty"}, "resolv.conf"),
        (("hide\t/run/door\t/run/netjail/view/lab/gone",), {}, "/run/door"),
        (("hide\t/run/door\t/run/netjail/view/lab/etc/nsswitch.conf",), {}, "/run/door"),
        ((), {"netjail-enter": "2"}, "version"),
        ((), {"profile": "other"}, "complete"),
        (("what\tis this",), {}, "legible"),
        (("hide\tonly one",), {}, "legible"),
    ],
)
def test_no_protection_no_program(
    box: jailbox.Box, lines: tuple[str, ...], change: dict[str, str], word: str
) -> None:
    box.sh("mkdir /run/door")
    box.write_enter("lab", *lines, **change)
    done = box.netjail("run", "lab", "touch", "/run/ran")
    assert done.returncode == 125
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert not box.path("/run/ran").exists()


@pytest.mark.parametrize(
    ("net", "word"),
    [
        ("/run/netns/netjail-lab\t4\t1", "is not the namespace"),
        ("/run/netns/gone\t4\t1", "cannot be opened"),
    ],
)
def test_a_namespace_that_is_not_the_jails_is_not_entered(
    box: jailbox.Box, net: str, word: str
) -> None:
    """`run` then asks the helper to mend it (tested with a helper); here is what it rests on."""
    box.write_enter("lab", net=net)
    code = (
        f"import sys; sys.path.insert(0, {str(jailbox.REPO)!r})\n"
        "from netjail.launch import enter\n"
        "try: enter.enter(enter.read_enter('lab'))\n"
        "except Exception as error: print(error.code, error)\n"
        "else: print('inside')\n"
    )
    said = box.run(sys.executable, "-c", code)
    assert said.startswith("conflict ") and word in said


# who


STATUS = ["cat", "/proc/self/status"]


def status(text: str) -> dict[str, str]:
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {key: " ".join(value.split()) for key, value in pairs}


@pytest.mark.parametrize(
    "prefix", [(), ("setpriv", "--inh-caps=+net_admin,+sys_admin", "--ambient-caps=+net_admin")]
)
def test_nothing_of_root_is_left(box: jailbox.Box, prefix: tuple[str, ...]) -> None:
    now = status(output(box, *STATUS, env=SUDO, prefix=prefix))
    assert now["Uid"] == "7001 7001 7001 7001"
    assert now["Gid"] == "7001 7001 7001 7001"
    assert now["Groups"] == "7001 7100"
    for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert now[kind] == "0" * 16, kind
    assert now["SigIgn"] == "0" * 16
    assert now["SigBlk"] == "0" * 16


def test_capabilities_that_would_survive_are_refused_or_dropped(box: jailbox.Box) -> None:
    prefix = ("setpriv", "--securebits=+no_setuid_fixup")
    now = status(output(box, *STATUS, env=SUDO, prefix=prefix))
    assert {now[k] for k in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}


@pytest.mark.parametrize("user", ["bob", "7002", "#7002"])
def test_another_user(box: jailbox.Box, user: str) -> None:
    env = SUDO | {"XDG_RUNTIME_DIR": "/run/user/7001", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/x"}
    for options in (("-u", user), (f"-u{user}",), ("--user", user), (f"--user={user}",)):
        assert output(box, "id", "-u", options=options, env=env) == "7002"
    got = output(box, "env", options=("-u", user), env=env).splitlines()
    assert "HOME=/run/home/bob" in got
    assert not [line for line in got if line.startswith(("SUDO_", "XDG_", "DBUS_"))]


def test_root_stays_root(box: jailbox.Box) -> None:
    assert output(box, "id", "-u") == "0"
    assert output(box, "id", "-u", options=("-u", "root"), env=SUDO) == "0"
    assert output(box, "id", "-u", env={"SUDO_UID": "0", "SUDO_USER": "root"}) == "0"


@pytest.mark.parametrize(
    "env", [{"SUDO_UID": "nonsense"}, {"SUDO_UID": "7999"}, {"SUDO_UID": "-1"}, {"SUDO_UID": "00"}]
)
def test_a_caller_who_is_not_known_is_not_root(box: jailbox.Box, env: dict[str, str]) -> None:
    done = box.netjail("run", "lab", "id", env=env)
    assert done.returncode == 2
    assert "SUDO_UID" in done.stderr
    assert done.stdout == ""


def test_no_such_user(box: jailbox.Box) -> None:
    done = box.netjail("run", "-u", "nosuch", "lab", "id")
    assert done.returncode == 2
    assert "nosuch" in done.stderr


def test_environment_of_the_invoking_user(box: jailbox.Box) -> None:
    box.sh("install -d -o 7001 -m 700 /run/user/7001; ")
    env = SUDO | {
        "SUDO_COMMAND": "netjail",
        "HOME": "/root",
        "USER": "root",
        "LOGNAME": "root",
        "SHELL": "/bin/bash",
        "DISPLAY": ":0",
        "WAYLAND_DISPLAY": "wayland-0",
        "XAUTHORITY": "/x",
        "LANG": "de_DE.UTF-8",
        "ODD": "\udcff=\n x",
    }
    expected = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/run/home/alice",
        "USER": "alice",
        "LOGNAME": "alice",
        "SHELL": "/bin/sh",
        "MAIL": "/var/mail/alice",
        "DISPLAY": ":0",
        "WAYLAND_DISPLAY": "wayland-0",
        "XAUTHORITY": "/x",
        "LANG": "de_DE.UTF-8",
        "ODD": "\udcff=\n x",
        "XDG_RUNTIME_DIR": "/run/user/7001",
    }

    def inside() -> dict[str, str]:
        done = box.netjail("run", "lab", "env", "-0", env=env, text=False)
        text = os.fsdecode(done.stdout)
        return dict(entry.split("=", 1) for entry in text.split("\0") if entry)

    assert inside() == expected
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"/proc/{box.pid}/root/run/user/7001/bus")
    box.run("chown", "7001", "/run/user/7001/bus")
    assert inside() == expected | {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/7001/bus"}
    box.run("chown", "7002", "/run/user/7001")
    assert "XDG_RUNTIME_DIR" not in inside()
    listener.close()


@pytest.mark.parametrize("env", [{}, {"LC_CTYPE": "C"}, {"LC_ALL": "C"}, {"LC_CTYPE": "C.UTF-8"}])
def test_python_does_not_change_the_locale(box: jailbox.Box, env: dict[str, str]) -> None:
    got = dict(line.split("=", 1) for line in output(box, "env", env=env).splitlines())
    assert {key: value for key, value in got.items() if key.startswith("LC_")} == env


def test_by_sudo_itself(box: jailbox.Box) -> None:
    _let_alice_sudo(box)
    done = box.netjail("run", "lab", "id", "-un", prefix=("sudo", "-u", "alice", "sudo"))
    assert (done.returncode, done.stdout) == (0, "alice\n"), done.stderr


def _let_alice_sudo(box: jailbox.Box) -> None:
    if shutil.which("sudo") is None:
        pytest.skip("needs the program sudo")
    box.sh("echo 'alice ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/t; chmod 440 /etc/sudoers.d/t")


# where


def test_a_directory_that_only_its_user_may_enter(box: jailbox.Box) -> None:
    box.sh("echo secret > /run/home/alice/file")
    # a root who may not enter, as on a FUSE or an NFS mount
    prefix = (
        *("sh", "-c", 'cd /run/home/alice && exec "$@"', "sh"),
        *("setpriv", "--bounding-set=-dac_override,-dac_read_search"),
    )
    assert box.netjail("run", "lab", "cat", "file", prefix=prefix).returncode != 0
    got = output(box, "sh", "-c", "cat file; pwd", env=SUDO, prefix=prefix)
    assert got == "secret\n/run/home/alice"


FUSE = """
import ctypes, os, struct, sys
fd = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fd},rootmode=40700,user_id=7001,group_id=7001".encode()
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"test", b"/run/fuse", b"fuse", ctypes.c_ulong(0), options) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
print("mounted", flush=True)
while True:
    request = os.read(fd, 1 << 18)
    opcode, unique, node = struct.unpack_from("=4xIQQ", request)
    error, body = -38, b""
    if opcode == 26:  # FUSE_INIT
        error, body = 0, struct.pack("=IIIIHHIIHH32x", 7, 31, 0, 0, 0, 0, 4096, 1, 0, 0)
    elif opcode == 3:  # FUSE_GETATTR
        owner = (0o40700, 2, 7001, 7001)
        attr = struct.pack("=6Q10I", node, 0, 0, 0, 0, 0, 0, 0, 0, *owner, 0, 512, 0)
        error, body = 0, struct.pack("=QII", 0, 0, 0) + attr
    elif opcode in (2, 42):  # FUSE_FORGET has no answer
        continue
    os.write(fd, struct.pack("=IiQ", 16 + len(body), error, unique) + body)
"""


def test_a_directory_on_a_mount_that_is_closed_to_root(box: jailbox.Box) -> None:
    _let_alice_sudo(box)
    if not os.path.exists("/dev/fuse"):
        pytest.skip("needs /dev/fuse")
    box.sh("mkdir /run/fuse")
    server = subprocess.Popen(
        box.argv([sys.executable, "-c", FUSE]), stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        if server.stdout.readline() != "mounted\n":
            pytest.skip("needs to mount a FUSE file system")
        assert box.run("ls", "-d", "/run/fuse/", check=False) == ""  # root may not
        prefix = ("sudo", "-u", "alice", "sh", "-c", 'cd /run/fuse && exec sudo "$@"', "sh")
        script = "pwd; stat -c '%u %a' ."
        assert output(box, "sh", "-c", script, prefix=prefix) == "/run/fuse\n7001 700"
    finally:
        server.kill()
        server.communicate()


def test_a_directory_that_the_user_may_not_enter_stays(box: jailbox.Box) -> None:
    prefix = ("sh", "-c", 'cd /run/home/bob && exec "$@"', "sh")
    assert output(box, "readlink", "/proc/self/cwd", env=SUDO, prefix=prefix) == "/run/home/bob"


@pytest.mark.parametrize(
    ("directory", "command", "expected"),
    [
        ("/etc", "cat resolv.conf", OURS),
        ("/sys/class/net", "ls", "eth0\nlo"),
        ("/run/systemd/resolve", "cat resolv.conf", OURS),
        ("/run/nscd", "ls", ""),
        ("/etc/ssl", "pwd", "/etc/ssl"),
    ],
)
def test_a_directory_that_the_view_covers(
    box: jailbox.Box, directory: str, command: str, expected: str
) -> None:
    box.sh("mkdir -p /run/systemd/resolve /run/nscd /etc/ssl; touch /run/nscd/socket")
    prefix = ("sh", "-c", 'cd "$0" && exec "$@"', directory)
    assert output(box, "sh", "-c", command, env=SUDO, prefix=prefix) == expected
    assert output(box, "sh", "-c", "cat ../../../etc/resolv.conf", prefix=prefix) == OURS


def test_a_directory_that_is_gone(box: jailbox.Box) -> None:
    box.sh("mkdir /run/gone")
    prefix = ("sh", "-c", 'cd /run/gone && rmdir /run/gone && exec "$@"', "sh")
    assert output(box, "echo", "fine", prefix=prefix) == "fine"


# the program


def test_the_words_are_the_programs(box: jailbox.Box) -> None:
    words = ["-u", "--", "", "a b", "$HOME", "\udcff", "ü", "--help"]
    done = box.netjail("run", "lab", "printf", "%s\\n", *words, text=False)
    assert os.fsdecode(done.stdout).split("\n")[:-1] == words
    assert box.netjail("run", "--no-wait", "--wait", "0", "lab", "echo", "x").stdout == "x\n"


@pytest.mark.parametrize("code", [0, 1, 2, 3, 125, 126, 127, 255])
def test_exit_status(box: jailbox.Box, code: int) -> None:
    assert box.netjail("run", "lab", "sh", "-c", f"exit {code}").returncode == code


def test_death_by_signal_is_the_process_own(box: jailbox.Box) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGPIPE, signal.SIGINT):
        done = box.netjail("run", "lab", "sh", "-c", f"kill -{int(number)} $$")
        assert done.returncode == -number  # a shell says 128 + number


def test_the_process_stays_the_same_and_inherits(box: jailbox.Box) -> None:
    script = "echo $$; cat <&9; ls -l /proc/self/fd | grep -c ' -> '; umask; ulimit -n; nice"
    begin = 'exec 9<"$0"; exec nice -n 5 prlimit --nofile=123 "$@"'
    box.path("/run/nine").write_text("nine\n")
    process = subprocess.Popen(
        box.argv(["sh", "-c", begin, "/run/nine", box.launcher, "run", "lab", "sh", "-c", script]),
        stdout=subprocess.PIPE,
        text=True,
        env=jailbox.clean_env(SUDO),
        umask=0o027,
    )
    out, _ = process.communicate(timeout=20)
    # descriptors 0, 1, 2, 9 and the directory that ls reads: nothing of ours
    assert out.split() == [str(process.pid), "nine", "5", "0027", "123", "5"]


def test_stdin_stdout_stderr(box: jailbox.Box) -> None:
    done = box.netjail("run", "lab", "sh", "-c", "cat; echo err >&2", input="in", env=SUDO)
    assert (done.stdout, done.stderr) == ("in", "err\n")
    closed = box.netjail("run", "lab", "true", prefix=("sh", "-c", '"$@" <&- >&- 2>&-', "sh"))
    assert closed.returncode == 0


def test_sigpipe_kills(box: jailbox.Box) -> None:
    done = box.sh(f"{{ {box.launcher} run lab yes || echo $? >&2; }} 2>/run/status | head -1")
    assert done == "y\n"
    assert box.path("/run/status").read_text() == "141\n"


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["nosuchprogram"], 127, "nosuchprogram: command not found"),
        (["./nosuch"], 127, "./nosuch: No such file or directory"),
        ([""], 127, ": command not found"),
        (["/etc/passwd"], 126, "/etc/passwd: Permission denied"),
        (["/etc"], 126, "/etc: Is a directory"),
        (["/etc/passwd/x"], 126, "/etc/passwd/x: Not a directory"),
        (["/run/bin/badint"], 126, "/run/bin/badint: bad interpreter: /no/such: No such file"),
        (["badint"], 126, "badint: bad interpreter: /no/such: No such file or directory"),
        (["plain"], 126, "plain: Permission denied"),
    ],
)
def test_programs_that_cannot_start(
    box: jailbox.Box, words: list[str], code: int, text: str
) -> None:
    box.sh(
        "mkdir -p /run/bin; printf '#!/no/such -x\\n' > /run/bin/badint;"
        "chmod 755 /run/bin/badint; touch /run/bin/plain"
    )
    for env in (SUDO, {}):
        path = {"PATH": "/nowhere:/run/bin:/usr/bin:/bin"}
        done = box.netjail("run", "lab", *words, env=env | path)
        assert done.returncode == code
        assert done.stderr.startswith(f"netjail: {text}")
        assert len(done.stderr.splitlines()) == 1


def test_path_is_searched_as_execvp_does(box: jailbox.Box) -> None:
    box.sh(
        "mkdir -p /run/a/prog /run/b /run/c /run/root0; chmod 700 /run/root0;"
        "printf 'echo script $1 $0\\n' > /run/c/prog; chmod 755 /run/c/prog;"
        "touch /run/b/prog; cp /run/c/prog /run/home/alice/here; chmod 755 /run/home/alice/here"
    )
    env = ("env", "PATH=/run/root0:/etc/passwd:/run/a:/run/b:/run/c")
    assert output(box, "prog", "one", env=SUDO, prefix=env) == "script one /run/c/prog"
    # an empty part is the working directory
    prefix = ("sh", "-c", 'cd /run/home/alice; PATH=:/bin; export PATH; exec "$@"', "sh")
    assert output(box, "here", "two", env=SUDO, prefix=prefix).startswith("script two")
    env = ("env", "PATH=/run/root0")
    assert box.netjail("run", "lab", "here", env=SUDO, prefix=env).returncode == 127
    no_path = ("env", "-u", "PATH")
    assert output(box, "true", prefix=no_path) == ""


# the lock


def test_down_waits_for_those_who_enter_and_they_for_it(box: jailbox.Box) -> None:
    file = box.path("/run/netjail/jails/lab/enter")
    with open(file) as taken:
        fcntl.flock(taken, fcntl.LOCK_EX)
        words = box.argv([box.launcher, "run", "lab", "echo", "entered"])
        waiting = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=jailbox.clean_env(None)
        )
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(0.3)
        # the file is written anew, as by down and up in between: the new one counts
        box.write_enter("lab", *DOORS)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(0.1)
    out, _ = waiting.communicate(timeout=10)
    assert out == b"entered\n"


def test_the_lock_is_held_until_exec_and_not_longer(box: jailbox.Box) -> None:
    file = box.path("/run/netjail/jails/lab/enter")
    with box.inside("lab"), open(file) as taken:
        fcntl.flock(taken, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the program does not hold it
    script = (
        "import sys, time\n"
        f"sys.path.insert(0, {str(jailbox.REPO)!r})\n"
        "from netjail.launch.enter import run_in_place\n"
        "def inside():\n"
        "    print('inside', flush=True); sys.stdin.readline()\n"
        "run_in_place('lab', ['cat', '/proc/self/status'], None, inside=inside)\n"
    )
    process = subprocess.Popen(
        box.argv([sys.executable, "-c", script]), stdin=-1, stdout=-1, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "inside\n"
    with open(file) as taken, pytest.raises(BlockingIOError):
        fcntl.flock(taken, fcntl.LOCK_EX | fcntl.LOCK_NB)
    # and down would find it inside
    here = os.stat(f"/proc/{process.pid}/ns/net").st_ino
    assert str(here) == box.run("stat", "-c", "%i", "/run/netns/netjail-lab").strip()
    out, _ = process.communicate("go\n", timeout=10)
    assert process.returncode == 0
    assert "Uid" in out


# when the short way is not taken


def test_the_short_way_imports_next_to_nothing(box: jailbox.Box) -> None:
    done = subprocess.run(
        box.argv([sys.executable, "-IS", "-X", "importtime", box.launcher, "run", "lab", "true"]),
        capture_output=True,
        text=True,
        env=jailbox.clean_env(SUDO | {"LANG": "C.UTF-8"}),
        check=True,
    )
    bare = subprocess.run(
        [sys.executable, "-IS", "-X", "importtime", "-c", ""],
        capture_output=True,
        text=True,
        env=jailbox.clean_env({"LANG": "C.UTF-8"}),
        check=True,
    )

    def modules(text: str) -> set[str]:
        return {line.rsplit("|", 1)[1].strip() for line in text.splitlines() if "|" in line}

    assert modules(done.stderr) - modules(bare.stderr) - {"_signal", "_weakref"} == {
        "netjail",
        "netjail.main",
        "netjail.names",
        "netjail.launch",
        "netjail.launch.enter",
        "netjail.launch.identity",
        "netjail.launch.syscalls",
        "_ctypes",
        "fcntl",
        "pwd",
    }


def test_a_package_that_only_root_can_read(box: jailbox.Box) -> None:
    package = f"{jailbox.REPO}/netjail"
    box.sh(f"mkdir -m 700 /run/closed; cp -r {package} /run/closed")
    text = box.path(box.launcher).read_text().replace(str(jailbox.REPO), "/run/closed")
    box.path(box.launcher).write_text(text)
    assert output(box, "id", "-un", env=SUDO) == "alice"
    done = box.netjail("run", "lab", "nosuch", env=SUDO)
    assert (done.returncode, done.stderr) == (127, "netjail: nosuch: command not found\n")


def test_an_ordinary_python_with_site(box: jailbox.Box) -> None:
    words = [
        sys.executable,
        "-c",
        "from netjail.main import main; main()",
        "run",
        "lab",
        "id",
        "-u",
    ]
    done = subprocess.run(
        box.argv(words),
        capture_output=True,
        text=True,
        env=jailbox.clean_env(SUDO | {"PYTHONPATH": str(jailbox.REPO)}),
        check=True,
    )
    assert done.stdout == "7001\n"


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_under_other_pythons(box: jailbox.Box, version: str) -> None:
    pattern = os.path.expanduser(f"~/.pyenv/versions/{version}.*/bin/python{version}")
    found = [f"/usr/bin/python{version}", *glob.glob(pattern)]
    found = [python for python in found if os.path.exists(python)]
    if not found:
        pytest.skip(f"needs Python {version}")
    text = box.path(box.launcher).read_text()
    box.path(box.launcher).write_text(text.replace(sys.executable, found[-1]))
    assert output(box, "id", "-un", env=SUDO) == "alice"
    assert output(box, "cat", "/etc/resolv.conf", options=("-u", "bob")) == OURS
    assert box.netjail("run", "lab", "nosuch", env=SUDO).returncode == 127


def test_from_one_jail_into_the_next(box: jailbox.Box) -> None:
    box.jail("two", *(line.replace("/lab/", "/two/") for line in DOORS))
    box.jail("three")
    box.sh("echo nameserver 198.51.100.2 > /run/netjail/view/two/dns/resolv.conf")
    nested = [box.launcher, "run", "two", box.launcher, "run", "three", box.launcher, "run", "two"]
    assert output(box, *nested, "cat", "/etc/resolv.conf") == "nameserver 198.51.100.2"
    script = 'grep -c " /etc " /proc/self/mountinfo; ls /sys/fs/cgroup | wc -l'
    counts = output(box, *nested, "sh", "-c", script).split()
    assert counts == output(box, "sh", "-c", script).split()


def test_in_a_chroot_that_is_no_mount_point(box: jailbox.Box) -> None:
    # a tree in a directory, as an image builder has it; everything bound into it but its root
    box.sh(
        "mkdir -p /run/c/root; cd /run/c/root; mkdir run etc;"
        "for d in /*; do case $d in /run|/etc|/lost+found) continue;; esac;"
        "  if [ -h $d ]; then cp -a $d .$d;"
        "  elif [ -d $d ]; then mkdir .$d; mount --rbind $d .$d; fi;"
        "done;"
        "cp -a /etc/. etc; echo nameserver 192.0.2.99 > etc/resolv.conf;"
        "mkdir run/netns; touch run/netns/netjail-lab;"
        "mount --bind /run/netns/netjail-lab run/netns/netjail-lab;"
        "cp -a /run/netjail /run/home run; cp /run/netjail-launcher run/"
    )
    lock = os.open(box.path("/run/c/root/run/netjail/helper.lock"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    before = box.sh("cut -d' ' -f3- /proc/self/mountinfo")
    script = "cat /etc/resolv.conf; ls /sys/class/net; pwd; test ! -e /run/c && echo inside"
    done = box.netjail(
        *("run", "lab", "sh", "-c", script),
        env=SUDO,
        prefix=("chroot", "/run/c/root", "sh", "-c", 'cd /usr/bin && exec "$@"', "sh"),
    )
    os.close(lock)
    assert done.stdout.split("\n") == [OURS, "eth0", "lo", "/usr/bin", "inside", ""], done.stderr
    assert box.sh("cut -d' ' -f3- /proc/self/mountinfo") == before


def test_interrupted(box: jailbox.Box) -> None:
    file = box.path("/run/netjail/jails/lab/enter")
    with open(file) as taken:
        fcntl.flock(taken, fcntl.LOCK_EX)
        words = box.argv([box.launcher, "run", "lab", "true"])
        waiting = subprocess.Popen(words, stderr=-1, env=jailbox.clean_env(None))

        def blocked() -> bool:
            return "flock" in Path(f"/proc/{waiting.pid}/wchan").read_text() or _asleep(waiting.pid)

        assert jailbox.wait_until(blocked)
        time.sleep(0.2)
        waiting.send_signal(signal.SIGINT)
        _, err = waiting.communicate(timeout=10)
    assert waiting.returncode == 130
    assert err == b""


def _asleep(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/syscall").read_text().split()[0] == "73"
    except (OSError, IndexError) as error:
        return getattr(error, "errno", 0) == errno.EPERM
