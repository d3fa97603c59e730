# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that the helper starts for ordinary users: theirs in every respect, and nothing of
root's; and a helper and spawner that nobody disturbs."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import userbox
from userbox import ALICE, BOB, MALLORY, PYTHON, READERS, UserBox, eventually

pytestmark = pytest.mark.skipif(userbox.missing() is not None, reason=str(userbox.missing()))

PROBE = r"""
import json, os, resource, sys
def read(name):
    with open("/proc/self/" + name, "rb") as f: return f.read().decode("utf-8", "surrogateescape")
status = dict(line.split(":", 1) for line in read("status").splitlines())
umask = os.umask(0)
try: cwd = os.getcwd()
except OSError as e: cwd = repr(e)
fds = {}
for fd in sorted(os.listdir("/proc/self/fd"), key=int):
    try: fds[fd] = os.readlink("/proc/self/fd/" + fd)
    except OSError: pass
names = ("Uid Gid Groups CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp_filters "
         "Cpus_allowed_list SigBlk SigIgn SigCgt").split()
print(json.dumps({
    "status": {name: status.get(name, "").split() for name in names},
    "fds": {k: v for k, v in fds.items() if not v.startswith("/proc/")},
    "environ": read("environ"), "cgroup": read("cgroup"), "limits": read("limits"),
    "oom": read("oom_score_adj"), "nice": os.getpriority(0, 0), "umask": umask,
    "policy": [os.sched_getscheduler(0), os.sched_getparam(0).sched_priority],
    "cwd": cwd, "argv": sys.argv[1:], "leads": os.getsid(0) == os.getpid() == os.getpgrp(),
    "tty": read("stat").rpartition(")")[2].split()[4], "attr": os.path.exists("/proc/self/attr"),
}))
"""
PROBE_ARGV = (PYTHON, "-I", "-S", "-c", PROBE)


@pytest.fixture(scope="module")
def box() -> Iterator[UserBox]:
    box = UserBox(profiles=("lab", "idle", "other"))
    file = box.path("/etc/netjail/profiles/idle.toml")
    file.write_text('version = 1\nstop = "when-idle"\n[uplink]\nkind = "none"\n')
    box.start_helper()
    box.call("up", profile="lab")
    yield box
    log = box.log()
    box.close()
    assert "Traceback" not in log and "bug" not in log, log


def probe(box: UserBox, *options: str, **more: Any) -> dict[str, Any]:
    done = box.netjail("run", *options, "lab", *PROBE_ARGV, **more)
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def direct(box: UserBox, **more: Any) -> dict[str, Any]:
    """The same without netjail."""
    prefix, uid = more.pop("prefix", ()), more.pop("uid", ALICE)
    env = more.pop("env", None) or box.env(uid)
    argv = box.as_user([*prefix, *PROBE_ARGV], uid)
    done = subprocess.run(
        argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=True, **more
    )
    return json.loads(done.stdout)


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """All that is inherited; the session is the program's own."""
    for found in (one, other):
        for name in ("leads", "tty", "fds"):
            found.pop(name)
    for name, value in one.items():
        assert value == other[name], name


# The user's own ---------------------------------------------------------------------------------


def test_it_is_the_users_and_nothing_of_root_is_left(box: UserBox) -> None:
    found = probe(box, cwd="/")
    status = found["status"]
    assert status["Uid"] == [str(ALICE)] * 4
    assert status["Gid"] == [str(ALICE)] * 4
    assert status["Groups"] == [str(ALICE), str(READERS)]
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[name][0], 16) == 0, name
    assert set(found["fds"]) == {"0", "1", "2"}
    assert found["leads"] and found["tty"] == "0"
    assert "SECRET_OF_ROOT" not in found["environ"]
    assert dict(e.split("=", 1) for e in found["environ"].split("\0") if e) == box.env()
    plain = direct(box, cwd="/")
    same(found, plain)


def test_a_users_session_keyring_is_not_roots(box: UserBox) -> None:
    if shutil.which("keyctl") is None:
        pytest.skip("needs keyctl")
    done = box.netjail("run", "lab", "keyctl", "rdescribe", "@s")
    assert done.returncode == 0, done
    assert done.stdout.split(";")[1] == str(ALICE)


def odd_prefix() -> list[str]:
    return [
        *("prlimit", "--nofile=200:333", "--core=0:4096", "--fsize=1000000:2000000"),
        *("--stack=4000000:5000000", "--nproc=900:1000", "--memlock=65536:65536", "--cpu=100:200"),
        *("nice", "-n", "7", "ionice", "-c", "2", "-n", "6", "chrt", "--batch", "0"),
        *("taskset", "1", "choom", "-n", "321", "--", "setpriv", "--no-new-privs"),
        *("sh", "-c", 'umask 027; trap "" HUP USR1 INT; exec "$@"', "sh"),
    ]


def test_limits_and_the_rest_are_the_callers(box: UserBox) -> None:
    found = probe(box, prefix=odd_prefix(), cwd="/")
    expected = direct(box, prefix=odd_prefix(), cwd="/")
    assert found["nice"] == 7 and found["umask"] == 0o027 and found["oom"] == "321\n"
    assert found["policy"] == [3, 0]
    assert found["status"]["NoNewPrivs"] == ["1"]
    assert found["status"]["Cpus_allowed_list"] == ["0"]
    assert re.search(r"Max open files +200 +333 ", found["limits"])
    assert int(found["status"]["SigIgn"][0], 16) & 0b1000000011 == 0b1000000011
    same(found, expected)
    done = box.netjail("run", "lab", "ionice", prefix=odd_prefix())
    assert done.stdout == "best-effort: prio 6\n", done


def test_a_smaller_bounding_set_stays(box: UserBox) -> None:
    argv = box.as_user([box.launcher, "run", "lab", *PROBE_ARGV])
    at = argv.index("setpriv") + 1
    argv[at:at] = ["--bounding-set", "-all,+chown,+kill"]
    done = subprocess.run(argv, env=box.env(), capture_output=True, check=False)
    assert done.returncode == 0, done
    assert int(json.loads(done.stdout)["status"]["CapBnd"][0], 16) == 0b100001


def test_environment_and_arguments_arrive_whole(box: UserBox) -> None:
    env = {
        os.fsencode(k): os.fsencode(v)
        for k, v in box.env(LD_PRELOAD="/nonexistent.so", LD_LIBRARY_PATH="/x", IFS="x").items()
    }
    env |= {b"QUOTES": b'"\\\n\t\x01\x7f', b"LATIN": b"\xe9\xff", b"UTF": "äöü€𝄞".encode()}
    env |= {b"EMPTY": b"", b"EQUALS": b"a=b=c", b"LONG": b"x" * 100_000, b"LC_ALL": b"C"}
    argv = ["a b", "", "ä\udce9", '"\\', "\n", "-u", "--", "$HOME", "*"]
    done = box.netjail("run", "lab", *PROBE_ARGV, *argv, env=env)
    assert done.returncode == 0, done
    found = json.loads(done.stdout)
    got = dict(e.split("=", 1) for e in found["environ"].split("\0") if e)
    assert {os.fsencode(k): os.fsencode(v) for k, v in got.items()} == env
    assert [os.fsencode(each) for each in found["argv"]] == [os.fsencode(each) for each in argv]
    # nothing at all
    done = box.netjail("run", "lab", "/usr/bin/env", env={})
    assert (done.returncode, done.stdout) == (0, "")


def test_too_long_is_said(box: UserBox) -> None:
    many = ["x" * 100_000] * 12
    done = box.netjail("run", "lab", "true", *many)
    assert done.returncode == 126 and "too long" in done.stderr


# The directory ----------------------------------------------------------------------------------


def test_a_directory_that_only_they_may_enter(box: UserBox) -> None:
    home = "/run/home/alice"
    prefix = ["sh", "-c", f'cd {home} && exec "$@"', "sh"]
    done = box.netjail("run", "lab", "sh", "-c", "/bin/pwd; touch here; ls", prefix=prefix)
    assert done.returncode == 0, done
    assert done.stdout.split("\n")[0] == home and "here" in done.stdout


@pytest.mark.parametrize("where", ["/", "/etc", "/sys/class/net", "/run", "/tmp", "/dev/pts"])
def test_directories_below_new_mounts(box: UserBox, where: str) -> None:
    code = 'cd "$1" && shift && exec "$@"'
    done = box.netjail("run", "lab", "/bin/pwd", prefix=["sh", "-c", code, "sh", where])
    assert (done.returncode, done.stdout) == (0, where + "\n")


def test_a_directory_that_was_removed(box: UserBox) -> None:
    code = 'cd "$(mktemp -d /run/home/alice/XXXX)" && rmdir "$PWD" && exec "$@"'
    done = box.netjail("run", "lab", "readlink", "/proc/self/cwd", prefix=["sh", "-c", code, "sh"])
    assert done.returncode == 0 and done.stdout.endswith(" (deleted)\n"), done


def test_a_directory_on_a_mount_of_the_host(box: UserBox) -> None:
    box.path("/run/home/alice/medium").mkdir(exist_ok=True)
    options = ["-t", "tmpfs", "-o", f"uid={ALICE},mode=700"]
    subprocess.run(box.argv(["mount", *options, "tmpfs", "/run/home/alice/medium"]), check=True)
    code = 'cd /run/home/alice/medium && exec "$@"'
    done = box.netjail("run", "lab", "/bin/pwd", prefix=["sh", "-c", code, "sh"])
    assert (done.returncode, done.stdout) == (0, "/run/home/alice/medium\n")
    subprocess.run(box.argv(["umount", "/run/home/alice/medium"]), check=True)


# cgroups ----------------------------------------------------------------------------------------


def hierarchies() -> list[str]:
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            if right.split()[0] in ("cgroup", "cgroup2") and left.split()[3] == "/":
                found.append(left.split()[4])
    return [where for where in found if os.access(where, os.W_OK)]


def test_it_is_in_the_callers_cgroups(box: UserBox) -> None:
    made = []
    try:
        for where in hierarchies():
            if where.endswith(("/cpuset", "/freezer", "/devices")):
                continue
            directory = f"{where}/netjail-test-{os.getpid()}"
            try:
                os.mkdir(directory)
            except OSError:
                continue
            made.append(directory)
        if not made:
            pytest.skip("no cgroups to make")
        joins = "".join(f"echo $$ > {directory}/cgroup.procs\n" for directory in made)
        argv = box.as_user([box.launcher, "run", "lab", *PROBE_ARGV])
        done = subprocess.run(
            ["sh", "-ec", joins + 'cat /proc/self/cgroup >&2; exec "$@"', "sh", *argv],
            env=box.env(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done
        assert json.loads(done.stdout)["cgroup"] == done.stderr
        assert f"netjail-test-{os.getpid()}" in done.stderr
    finally:
        for directory in made:
            eventually(lambda directory=directory: not _procs(directory))
            os.rmdir(directory)


def _procs(directory: str) -> str:
    return Path(directory, "cgroup.procs").read_text()


# The end ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0, 1, 77, 125, 255])
def test_exit_status(box: UserBox, status: int) -> None:
    assert box.netjail("run", "lab", "sh", "-c", f"exit {status}").returncode == status


@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV", "HUP", "PIPE", "USR1"])
def test_death_by_signal(box: UserBox, name: str) -> None:
    done = box.netjail("run", "lab", "sh", "-c", f"kill -{name} $$")
    assert done.returncode == -signal.Signals[f"SIG{name}"]
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["nosuch"], 127, "netjail: nosuch: command not found\n"),
        (["/nosuch"], 127, "netjail: /nosuch: No such file or directory\n"),
        (["/etc/passwd"], 126, "netjail: /etc/passwd: Permission denied\n"),
        (["/tmp"], 126, "netjail: /tmp: Is a directory\n"),
        ([""], 127, "netjail: : command not found\n"),
    ],
)
def test_what_cannot_be_executed(box: UserBox, words: list[str], status: int, said: str) -> None:
    done = box.netjail("run", "lab", *words)
    assert (done.returncode, done.stderr) == (status, said)


def test_roots_eyes_find_no_program_for_a_user(box: UserBox) -> None:
    box.path("/run/roots").mkdir(mode=0o700, exist_ok=True)
    shutil.copy("/bin/true", box.path("/run/roots/true"))
    done = box.netjail("run", "lab", "/run/roots/true")
    assert (done.returncode, done.stderr) == (126, "netjail: /run/roots/true: Permission denied\n")


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "ALRM"])
def test_signals_are_passed_on(box: UserBox, name: str) -> None:
    script = f"trap 'echo got; exit 3' {name}; echo ready; while :; do sleep 0.05; done"
    child = box.popen("run", "lab", "bash", "-c", script, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.Signals[f"SIG{name}"])
    assert child.stdout.read() == "got\n"
    assert child.wait(10) == 3


def test_what_the_caller_ignores_is_ignored(box: UserBox) -> None:
    script = "echo ready; read line; echo $line"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    child = box.popen("run", "lab", "sh", "-c", script, prefix=["nohup"], **pipes)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGHUP)
    time.sleep(0.1)
    assert child.communicate("still here\n", timeout=10)[0] == "still here\n"


def test_stopping_and_going_on(box: UserBox) -> None:
    child = box.popen("run", "lab", "sleep", "60", stdin=subprocess.DEVNULL)
    eventually(lambda: _named(box, "sleep"))
    (pid,) = _named(box, "sleep")
    child.send_signal(signal.SIGTSTP)
    eventually(lambda: _state(pid) == "T" and _state(child.pid) == "T")
    child.send_signal(signal.SIGCONT)
    eventually(lambda: _state(pid) == "S" and _state(child.pid) == "S")
    child.terminate()
    assert child.wait(10) == -signal.SIGTERM


def _named(box: UserBox, name: str) -> list[int]:
    found = []
    for pid in box.inside():
        try:
            if Path(f"/proc/{pid}/comm").read_text() == name + "\n":
                found.append(pid)
        except OSError:
            continue
    return found


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_descriptors_are_the_callers_own(box: UserBox, tmp_path: Path) -> None:
    file = tmp_path / "out"
    with file.open("wb") as out:
        done = box.netjail("run", "lab", "sh", "-c", "cat; echo e >&2", input="x\n", stdout=out,
                           stderr=out, capture_output=False)  # fmt: skip
    assert done.returncode == 0
    assert file.read_text() == "x\ne\n"
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    assert box.netjail("run", "lab", "sh", "-c", "exit 5", prefix=closed).returncode == 5


def test_detached(box: UserBox) -> None:
    script = "echo $$ > /run/home/alice/detached; exec sleep 60"
    begin = time.monotonic()
    done = box.netjail("run", "--detach", "lab", "sh", "-c", script, cwd=box.path("/tmp"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.monotonic() - begin < 5
    file = box.path("/run/home/alice/detached")
    eventually(lambda: file.exists() and file.read_text())
    pid = int(file.read_text())
    assert [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)] == ["/dev/null"] * 3
    assert os.getsid(pid) == pid
    os.kill(pid, signal.SIGKILL)
    done = box.netjail("run", "--detach", "lab", "nosuch")
    assert (done.returncode, done.stderr) == (127, "netjail: nosuch: command not found\n")


# Who may, and what is up ------------------------------------------------------------------------


def test_who_may_not(box: UserBox) -> None:
    done = box.netjail("run", "lab", "true", uid=MALLORY)
    assert done.returncode == 125 and "test gate refuses" in done.stderr
    done = box.netjail("run", "-u", "bob", "lab", "id")
    assert done.returncode == 125 and "only root" in done.stderr


def test_what_is_down_is_brought_up(box: UserBox) -> None:
    done = box.netjail("run", "other", "id", "-un", uid=BOB)
    assert (done.returncode, done.stdout) == (0, "bob\n")
    box.call("down", profiles=["other"])
    done = box.netjail("run", "nosuch", "true")
    assert done.returncode == 125 and "nosuch" in done.stderr


def test_root_by_way_of_the_helper(box: UserBox) -> None:
    argv = box.argv([box.launcher, "run", "--via-helper", "lab", *PROBE_ARGV])
    done = subprocess.run(argv, env=box.env(), capture_output=True, check=False)
    assert done.returncode == 0, done
    assert json.loads(done.stdout)["status"]["Uid"] == ["0"] * 4


def test_a_shell(box: UserBox) -> None:
    done = box.netjail("shell", "lab", input="echo $NETJAIL; id -un; exit 4\n")
    assert (done.returncode, done.stdout) == (4, "lab\nalice\n")


def test_ps_knows_them_and_idle_jails_watch_them(box: UserBox) -> None:
    child = box.popen("run", "idle", "sleep", "60", stdin=subprocess.DEVNULL)
    eventually(lambda: box.call("ps", profile="idle")["programs"])
    (row,) = box.call("ps", profile="idle")["programs"]
    assert (row["user"], row["argv"]) == ("alice", ["sleep", "60"])
    time.sleep(2.5)  # longer than an idle jail lives
    assert child.poll() is None
    child.terminate()
    child.wait(10)
    rows = lambda: {row["name"]: row["state"] for row in box.call("list")["profiles"]}  # noqa: E731
    eventually(lambda: rows()["idle"] == "down", 15)


def test_in_a_jail_nobody_asks_for_another(box: UserBox) -> None:
    done = box.netjail("run", "lab", box.launcher, "run", "lab", "id")
    assert done.returncode == 125 and "runs inside profile lab" in done.stderr


# What happens to others -------------------------------------------------------------------------


def test_the_spawner_is_small_and_imports_little(box: UserBox) -> None:
    pid = box.spawner()
    status = Path(f"/proc/{pid}/status").read_text()
    assert "Threads:\t1\n" in status
    rss = int(re.search(r"VmRSS:\s+(\d+)", status)[1])  # type: ignore[index]
    assert rss < 14_000, f"{rss} kB"
    code = (
        "import sys; before = set(sys.modules); sys.path.insert(0, '/run/pkg')\n"
        "from netjail.launch import spawner\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    said = subprocess.run(
        box.argv([PYTHON, "-I", "-S", "-c", code]), capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(said) - {"errno", "_ctypes", "__future__"} == {
        *("_socket", "fcntl", "gc", "pwd", "resource", "select", "termios", "netjail"),
        *("netjail.errors", "netjail.names", "netjail.launch", "netjail.launch.child"),
        *("netjail.launch.enter", "netjail.launch.identity", "netjail.launch.inherit"),
        *("netjail.launch.keeper", "netjail.launch.processes", "netjail.launch.rare"),
        *("netjail.launch.spawner", "netjail.launch.syscalls", "netjail.launch.wire"),
    }


def test_fifty_at_once(box: UserBox) -> None:
    pids = (box.helper.pid if box.helper else 0, box.spawner())
    before = [_fds(pid) for pid in pids]
    children = [
        box.popen("run", "lab", "sh", "-c", f"exit {n}", uid=(ALICE, BOB)[n % 2],
                  stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for n in range(50)
    ]  # fmt: skip
    said = [child.communicate(timeout=60)[1] for child in children]
    assert [child.returncode for child in children] == list(range(50)), said
    eventually(lambda: [_fds(pid) for pid in pids] == before)


def _fds(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_clients_that_vanish_leave_nothing(box: UserBox) -> None:
    assert box.helper is not None
    pids = (box.helper.pid, box.spawner())
    before = [_fds(pid) for pid in pids]
    for n in range(20):
        child = box.popen("run", "lab", "sleep", "0.2", stdin=subprocess.DEVNULL)
        time.sleep(n * 0.003)
        child.kill()
        child.wait()
    eventually(lambda: [_fds(pid) for pid in pids] == before)
    eventually(lambda: not _named(box, "sleep"))


def test_the_spawner_killed_is_replaced(box: UserBox) -> None:
    child = box.popen("run", "lab", "sleep", "60", stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    eventually(lambda: _named(box, "sleep"))
    (pid,) = _named(box, "sleep")
    old = box.spawner()
    os.kill(old, signal.SIGKILL)
    done = box.netjail("run", "lab", "id", "-un")
    assert (done.returncode, done.stdout) == (0, "alice\n")
    assert box.spawner() not in (0, old)
    assert child.poll() is None and _state(pid) == "S"
    os.kill(pid, signal.SIGTERM)
    _, said = child.communicate(timeout=10)
    # since Linux 6.15 the kernel says how it ended; before, we say that nobody knows
    assert child.returncode == -signal.SIGTERM or (child.returncode == 125 and "not known" in said)


def test_the_helper_killed_leaves_programs_running(box: UserBox) -> None:
    assert box.helper is not None
    spawner = box.spawner()
    script = "echo ready; read line; exit 9"
    child = box.popen(
        "run", "lab", "sh", "-c", script, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    box.stop_helper(signal.SIGKILL)
    box.start_helper()
    (row,) = box.call("ps", profile="lab")["programs"]
    assert row["user"] == "alice"
    assert Path(f"/proc/{spawner}").exists()
    child.communicate("\n", timeout=10)
    assert child.returncode == 9  # known although another helper has come
    eventually(lambda: not Path(f"/proc/{spawner}").exists() or _state(spawner) == "Z")


# The socket, by hand ----------------------------------------------------------------------------

RAW = r"""
import array, json, os, socket, sys, time
def connect():
    s = socket.socket(socket.AF_UNIX); s.connect("/run/netjail/socket"); s.settimeout(20); return s
def line(s):
    data, fds = b"", []
    while not data.endswith(b"\n"):
        more, controls, flags, _ = s.recvmsg(65536, socket.CMSG_SPACE(64))
        for _, _, each in controls: fds += array.array("i", each)
        if not more: break
        data += more
    return (json.loads(data.split(b"\n")[0]) if data else None), fds
def launch(s, argv, number=1, **more):
    params = {"profile": "lab", "argv": argv, "env": ["PATH=/usr/bin:/bin"], **more}
    request = {"v": 1, "id": number, "method": "launch", "params": params}
    s.sendall(json.dumps(request).encode() + b"\n")
    return line(s)
def send(fd, fds, word=b"F"):
    c = socket.socket(fileno=os.dup(fd)); socket.send_fds(c, [word], fds); return c
"""


def raw(box: UserBox, code: str, uid: int = ALICE) -> Any:
    """Python as a user, with RAW's words; what it prints is JSON."""
    argv = box.as_user([PYTHON, "-c", RAW + code], uid)
    done = subprocess.run(argv, env=box.env(uid), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_client_that_stays_hears_of_the_end(box: UserBox) -> None:
    code = """
s = connect()
answer, fds = launch(s, ["sh", "-c", "kill -ABRT $$"])
c = send(fds[2], [os.open("/", os.O_PATH), 0, 1, 2])
event, _ = line(s)
print(json.dumps([answer["result"]["state"], len(fds), event["id"], event["exited"]["signal"],
                  os.read(fds[1], 100).decode(), c.recv(100).decode()]))
"""
    state, count, number, signalled, status, packet = raw(box, code)
    assert (state, count, number, signalled, packet) == ("up", 3, 1, 6, "")
    assert int(status) & 0x7F == 6


@pytest.mark.parametrize(
    "sent",
    [
        "send(fds[2], [])",
        "send(fds[2], [0])",
        "send(fds[2], [os.open('/', os.O_PATH), 0, 1])",
        "send(fds[2], [os.open('/', os.O_PATH), 0, 1, 2, 2])",
        "send(fds[2], [os.open('/', os.O_PATH), *[0] * 100])",
        "send(fds[2], [0, 0, 1, 2])",
        "send(fds[2], [os.open('/', os.O_PATH), 0, 1, 2], b'X')",
        "socket.socket(fileno=os.dup(fds[2])).send(b'F')",
    ],
)
def test_descriptors_that_are_not_what_was_said(box: UserBox, sent: str) -> None:
    code = f"""
s = connect()
answer, fds = launch(s, ["touch", "/run/home/alice/never"])
{sent}
c = socket.socket(fileno=fds[2]); c.settimeout(10)
print(json.dumps([c.recv(1000).decode("latin-1"), os.read(fds[1], 10).decode()]))
"""
    said, status = raw(box, code)
    assert said.startswith("E125\0bad-request"), said
    assert int(status) == 125 << 8
    assert not box.path("/run/home/alice/never").exists()


def test_no_terminal_where_one_was_promised(box: UserBox) -> None:
    code = """
s = connect()
answer, fds = launch(s, ["true"], stdio="terminal")
c = send(fds[2], [os.open("/", os.O_PATH), 0, 1, 2, 2]); c.settimeout(10)
print(json.dumps(c.recv(1000).decode("latin-1")))
"""
    assert "terminal" in raw(box, code)


def test_descriptors_on_the_helpers_own_socket(box: UserBox) -> None:
    """They are not taken, whatever they go with, and nothing of them stays."""
    assert box.helper is not None
    before = _fds(box.helper.pid)
    code = """
found = []
for n in range(20):
    s = connect()
    words = b'{"v":1,"id":1,"method":"hello","params":{}}\\n'
    fds = [os.open("/", os.O_RDONLY) for _ in range(1 + n % 250)]
    at = n % len(words)
    if at: s.sendall(words[:at])
    socket.send_fds(s, [words[at:]], fds)
    try: found.append(line(s)[0])
    except ConnectionError: found.append(None)
print(json.dumps(found))
"""
    for answer in raw(box, code):
        assert answer is None or answer["error"]["code"] == "bad-request", answer
    eventually(lambda: _fds(box.helper.pid) <= before)  # type: ignore[union-attr]
    assert box.netjail("run", "lab", "true").returncode == 0


LINGER = """
import struct, threading
a = socket.socket(); a.bind(("127.0.0.1", 0)); a.listen(1)
def lingering():
    one = socket.create_connection(a.getsockname()); two, _ = a.accept()
    one.setblocking(False)
    try:
        while True: one.send(b"x" * 65536)
    except BlockingIOError: pass
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
    return one, two
"""


def test_descriptors_that_take_an_hour_to_close(box: UserBox) -> None:
    """Sockets that linger: the last one to close them waits, and that must not be the helper,
    nor the spawner."""
    code = (
        LINGER
        + """
keep = []
for how in range(6):
    one, two = lingering(); keep.append(two)
    s = connect()
    if how == 0: socket.send_fds(s, [b"x"], [one.fileno()])
    elif how == 1: socket.send_fds(s, [b'{"v":1,"id":1,"method":"hello"}\\n'], [one.fileno()])
    elif how == 2:
        s.sendall(b"nonsense\\n"); socket.send_fds(s, [b"x"], [one.fileno()])
    else:
        answer, fds = launch(s, ["true"])
        if how == 3: send(fds[2], [one.fileno()])
        elif how == 4: send(fds[2], [os.open("/", os.O_PATH), one.fileno(), 1, 2])
        else: send(fds[2], [os.open("/", os.O_PATH), 0, 1, 2]); send(fds[2], [one.fileno()])
        for fd in fds: os.close(fd)
    os.close(one.detach()) if how != 0 else one.shutdown(socket.SHUT_RD) or os.close(one.detach())
    s.close()
print(json.dumps(True))
"""
    )
    # the client itself waits at its end: by os._exit and a limit
    argv = box.as_user([PYTHON, "-c", RAW + code + "sys.stdout.flush()\nos._exit(0)"])
    child = subprocess.Popen(argv, env=box.env(), stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        time.sleep(1.5)
        begin = time.monotonic()
        for _ in range(5):
            assert box.netjail("run", "lab", "true").returncode == 0
        assert time.monotonic() - begin < 5
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def test_clients_that_stall(box: UserBox) -> None:
    code = """
stalled = []
for n in range(8):
    s = connect()
    if n % 2: s.sendall(b'{"v":1,"id":1,"meth')
    else: launch(s, ["true"], number=n)   # and never its descriptors
    stalled.append(s)
begin = time.monotonic()
s = connect()
answer, fds = launch(s, ["true"])
c = send(fds[2], [os.open("/", os.O_PATH), 0, 1, 2])
status = os.read(fds[1], 100).decode()
print(json.dumps([status, time.monotonic() - begin]))
"""
    status, seconds = raw(box, code)
    assert status == "0" and seconds < 2


def test_a_process_that_becomes_another(box: UserBox) -> None:
    """Who connects and is somebody else's program by now (a setuid one) hands nothing down."""
    user = ("setpriv", "--reuid", str(ALICE), "--regid", str(BOB), "--groups", str(BOB))
    argv = box.argv([*user, "--inh-caps=-all", box.launcher, "run", "lab", "id", "-g"])
    done = subprocess.run(argv, env=box.env(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{BOB}\n"), done
    code = f"import os,sys; os.setresuid({ALICE},{BOB},{BOB}); os.execv(sys.argv[1], sys.argv[1:])"
    argv = box.argv([PYTHON, "-c", code, box.launcher, "run", "lab", "id"])
    done = subprocess.run(argv, env=box.env(), capture_output=True, text=True, check=False)
    assert done.returncode == 125 and "another user" in done.stderr, done


def test_a_caller_under_seccomp_is_refused(box: UserBox) -> None:
    code = r"""
import ctypes, os, sys, struct
libc = ctypes.CDLL(None)
allow = struct.pack("HBBI", 0x06, 0, 0, 0x7fff0000)
buffer = ctypes.create_string_buffer(allow)
class Prog(ctypes.Structure): _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
prog = Prog(1, ctypes.addressof(buffer))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.byref(prog)) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""
    done = box.netjail("run", "lab", "id", prefix=[PYTHON, "-c", code])
    assert done.returncode == 125 and "seccomp" in done.stderr, done


def test_memory_and_descriptors_stay(box: UserBox) -> None:
    assert box.helper is not None
    pids = (box.helper.pid, box.spawner())
    for _ in range(30):
        box.netjail("run", "lab", "true")
    before = [_rss(pid) for pid in pids]
    fds = [_fds(pid) for pid in pids]
    for _ in range(150):
        assert box.netjail("run", "lab", "true").returncode == 0
    eventually(lambda: [_fds(pid) for pid in pids] == fds)
    grown = [_rss(pid) - old for pid, old in zip(pids, before, strict=True)]
    assert grown[0] < 1500 and grown[1] < 300, grown


def _rss(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() // 1024


def test_what_a_launch_imports(box: UserBox) -> None:
    def modules(*words: str) -> set[str]:
        argv = box.as_user([PYTHON, "-I", "-S", "-X", "importtime", *words])
        done = subprocess.run(
            argv, env=box.env(), capture_output=True, text=True, check=True, start_new_session=True
        )
        return {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if "|" in line}

    bare = modules("-c", "pass")
    assert modules(box.launcher, "run", "lab", "true") - bare - {"_signal", "_weakref"} == {
        *("netjail", "netjail.main", "netjail.names", "netjail.launch", "netjail.launch.request"),
        *("netjail.launch.asking", "netjail.launch.wire", "_socket", "select"),
    }


def test_what_cannot_be_taken_on_is_said(box: UserBox) -> None:
    """A child that fails before it is told to begin: the reason reaches the caller all the same."""
    made = f"/sys/fs/cgroup/pids/netjail-test-{os.getpid()}"
    try:
        os.mkdir(made)
    except OSError:
        pytest.skip("no version 1 cgroups to make")
    hide = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", "/sys/fs/cgroup/pids"]
    argv = box.as_user([box.launcher, "run", "lab", "true"])
    try:
        subprocess.run(box.argv(hide), check=True)
        script = f'echo $$ > {made}/cgroup.procs; exec "$@"'
        done = subprocess.run(
            ["sh", "-ec", script, "sh", *argv], env=box.env(), capture_output=True, text=True
        )
        assert done.returncode == 125 and "cgroup" in done.stderr, done
    finally:
        subprocess.run(box.argv(["umount", "/sys/fs/cgroup/pids"]), check=False)
        eventually(lambda: not _procs(made))
        os.rmdir(made)
