# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail run` by an ordinary user, through the helper: connecting, polkit's word, the spawner,
until the program has ended. With a real polkitd on a bus of its own, where there is one."""

from __future__ import annotations

import argparse
import array
import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from harness import Contender, Goal, Report, Series, command, interleave, ratio, timed
from host import ENV, LAUNCHER, PYTHON, REPO, ROOM, Host, installed

PIDS = False
ROUNDS = 80
USER, UID = "bench-user", 7001
NETNS = "netjail-lab"
TRUE = "/bin/true"
OURS = "netjail run, as a user"
SUDO = "sudo ip netns exec, sudo -u USER"
FIREJAIL = "firejail --noprofile --netns"
SHARE = "the helper's share: launch, as a request"
ASK = "the helper's share: authorisation (up, as a request)"
BARE = "python3 -I -S -c pass"
POLKITD = "/usr/lib/polkit-1/polkitd"
BUS = "/run/dbus/system_bus_socket"

_USER = f"""
set -e
echo {USER}:x:{UID}:{UID}::/run/{USER}:/bin/sh >> /etc/passwd
echo {USER}:x:{UID}: >> /etc/group
echo '{USER}:*:19000:0:99999:7:::' >> /etc/shadow
install -d -m 700 -o {UID} -g {UID} /run/{USER}
echo '{USER} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/bench
chmod 440 /etc/sudoers.d/bench
config=/etc/firejail/firejail.config
[ ! -f $config ] || sed -i '/restricted-network/d' $config
[ ! -f $config ] || printf 'network yes\\nrestricted-network no\\n' >> $config
"""
_BUS = """
set -e
mkdir -p /run/dbus /run/bench/actions /run/bench/services
rm -rf /etc/polkit-1/rules.d /etc/dbus-1/system.d
mkdir -p /etc/polkit-1/rules.d /etc/dbus-1/system.d
chown polkitd /etc/polkit-1/rules.d
mount --bind /run/bench/actions /usr/share/polkit-1/actions
mount --bind /run/bench/services /usr/share/dbus-1/system-services
"""
_RULE = """polkit.addRule(function(action, subject) {
    if (action.id == "org.netjail.run" && subject.user == "%s") return polkit.Result.YES;
});
"""


def measure(options: argparse.Namespace) -> list[Report]:
    host = Host()
    started: list[subprocess.Popen[bytes]] = []
    try:
        subprocess.run(["sh", "-c", _USER], check=True)
        with host.client() as client:
            host.add(client, "lab")
            client.call("up", {"profile": "lab"})
        host.close()
        note = _with_polkit(started) if _polkit() else _with_gate(started)
        report = _report(options.rounds or ROUNDS)
        report.notes.append(note)
        return [report]
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


def _polkit() -> bool:
    try:
        import gi  # noqa: F401
        import pydbus  # noqa: F401
    except ImportError:
        return False
    return os.path.exists(POLKITD) and installed("dbus-daemon") is not None


def _with_polkit(started: list[subprocess.Popen[bytes]]) -> str:
    """A bus, a polkitd whose rule says yes, a helper on that bus."""
    subprocess.run(["sh", "-c", _BUS], check=True)
    data = REPO / "data"
    shutil.copy(data / "polkit/org.netjail.policy", "/usr/share/polkit-1/actions")
    shutil.copy(data / "dbus/org.netjail.Netjail1.conf", "/etc/dbus-1/system.d")
    Path("/etc/polkit-1/rules.d/10-bench.rules").write_text(_RULE % USER)
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    quiet["stderr"] = subprocess.DEVNULL
    words = ["dbus-daemon", "--system", "--nofork", "--nopidfile"]
    started.append(subprocess.Popen(words, env=ENV, **quiet))
    _await(lambda: os.path.exists(BUS))
    started.append(subprocess.Popen([POLKITD, "--no-debug"], env=ENV, **quiet))
    _await(_polkit_owned)
    main = str(ROOM / "package/netjail/daemon/__main__.py")
    _start(started, [PYTHON, "-I", main, "--allow-unsafe-code"])
    return "authorised by polkitd, with a rule"


def _polkit_owned() -> bool:
    words = ["dbus-send", "--system", "--print-reply", "--dest=org.freedesktop.DBus", "/"]
    words += ["org.freedesktop.DBus.NameHasOwner", "string:org.freedesktop.PolicyKit1"]
    said = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    return "boolean true" in said


def _with_gate(started: list[subprocess.Popen[bytes]]) -> str:
    """The stand-in of the tests."""
    helper = ROOM / "package/tests/netns/open_helper.py"
    helper.parent.mkdir(parents=True)
    shutil.copy(REPO / "tests/netns/open_helper.py", helper)
    _start(started, [PYTHON, "-I", str(helper), str(UID), "--"])
    return "authorised by a stand-in: polkitd takes 1.5 ms more"


def _start(started: list[subprocess.Popen[bytes]], words: list[str]) -> None:
    ready, child = os.pipe()
    words += ["--idle-timeout", "3600", "--ready-fd", str(child)]
    with open("/run/netjail/netjaild.log", "ab") as log:
        started.append(
            subprocess.Popen(
                words, pass_fds=[child], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ENV
            )
        )
    os.close(child)
    if os.read(ready, 4096) != b"\n":
        raise SystemExit(Path("/run/netjail/netjaild.log").read_text())
    os.close(ready)


def _await(ready: Any) -> None:
    end = time.monotonic() + 10
    while not ready():
        if time.monotonic() > end:
            raise SystemExit("bus and polkit do not come up")
        time.sleep(0.02)


def _report(rounds: int) -> Report:
    report = Report("launch by a user: /bin/true in a jail that is up, through the helper", "ms")
    sudo, ip, firejail = installed("sudo"), installed("ip"), installed("firejail")
    assert ip is not None
    env = {**ENV, "HOME": f"/run/{USER}", "USER": USER, "LOGNAME": USER}
    contenders: dict[str, Contender] = {
        OURS: command([LAUNCHER, "run", "lab", TRUE], env),
        SHARE: lambda: timed(lambda: _launch(env)),
        ASK: lambda: timed(lambda: _ask("up", {"profile": "lab"})),
        BARE: command([PYTHON, "-I", "-S", "-c", "pass"], env),
        "/bin/true alone": command([TRUE], env),
    }
    if sudo is not None:
        words = [sudo, "-n", ip, "netns", "exec", NETNS, sudo, "-u", USER, TRUE]
        contenders[SUDO] = command(words, env)
    else:
        report.skipped.append("sudo: not installed")
    if firejail is not None:
        words = [firejail, "--quiet", "--noprofile", f"--netns={NETNS}", TRUE]
        contenders[FIREJAIL] = command(words, env)
    else:
        report.skipped.append("firejail: not installed")
    series = _as_user(contenders, rounds)
    report.series = sorted(series.values(), key=lambda each: each.median)
    if SUDO in series:
        report.goals.append(
            Goal("netjail / the sudo line", ratio(series, OURS, SUDO), "x", 1, 0.85)
        )
    if FIREJAIL in series:
        report.goals.append(
            Goal("netjail / firejail", ratio(series, OURS, FIREJAIL), "x", 0.5, 0.45)
        )
    share = series[SHARE].median - series["/bin/true alone"].median
    report.goals.append(Goal("the helper's share, without /bin/true", share, " ms", 5, 3))
    report.notes.append(f"netjail / python3 -I -S alone: {ratio(series, OURS, BARE):.2f}x")
    return report


def _as_user(contenders: dict[str, Contender], rounds: int) -> dict[str, Series]:
    """Measured by a child that is the user: nothing has to drop root first."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reader)
            os.setsid()
            os.setgroups([UID])
            os.setresgid(UID, UID, UID)
            os.setresuid(UID, UID, UID)
            os.chdir(f"/run/{USER}")
            with os.fdopen(writer, "wb") as out:
                pickle.dump(interleave(contenders, rounds), out)
            status = 0
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        data = file.read()
    if os.waitpid(pid, 0)[1] != 0:
        raise SystemExit("the measuring failed")
    return pickle.loads(data)


def _connect() -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect("/run/netjail/socket")
    return sock


def _request(sock: socket.socket, method: str, params: dict[str, Any]) -> tuple[Any, list[int]]:
    line = json.dumps({"v": 1, "id": 1, "method": method, "params": params}).encode()
    sock.sendall(line + b"\n")
    said, fds = b"", array.array("i")
    while not said.endswith(b"\n"):
        data, controls, _, _ = sock.recvmsg(65536, socket.CMSG_SPACE(64))
        said += data
        for _, _, each in controls:
            fds.frombytes(each)
    answer = json.loads(said)
    if "result" not in answer:
        raise SystemExit(said.decode())
    return answer["result"], list(fds)


def _ask(method: str, params: dict[str, Any]) -> None:
    with _connect() as sock:
        _request(sock, method, params)


def _launch(env: dict[str, str]) -> None:
    with _connect() as sock:
        params = {"profile": "lab", "argv": [TRUE], "env": [f"{k}={v}" for k, v in env.items()]}
        _, fds = _request(sock, "launch", params)
    directory = os.open(".", os.O_PATH)
    with socket.socket(fileno=fds[2]) as channel:
        socket.send_fds(channel, [b"F"], [directory, 0, 1, 2])
    os.close(directory)
    if os.read(fds[1], 64) != b"0":
        raise SystemExit("/bin/true failed")
    os.close(fds[0])
    os.close(fds[1])
