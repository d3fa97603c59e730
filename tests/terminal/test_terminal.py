# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail run` by an ordinary user on a terminal: what a shell, an editor, a pager or tmux see
must be what they would see without it."""

from __future__ import annotations

import hashlib
import os
import pty
import re
import select
import shutil
import signal
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "netns"))

import userbox
from userbox import ALICE, PYTHON, UserBox, eventually

pexpect = pytest.importorskip("pexpect")
pytestmark = pytest.mark.skipif(userbox.missing() is not None, reason=str(userbox.missing()))

SECONDS = 15
HOME = "/run/home/alice"
PROMPT = "=> "


@pytest.fixture(scope="module")
def box() -> Iterator[UserBox]:
    box = UserBox()
    box.start_helper()
    box.call("up", profile="lab")
    box.path(f"{HOME}/.inputrc").write_text("set enable-bracketed-paste off\n")
    yield box
    log = box.log()
    box.close()
    assert "Traceback" not in log and "bug" not in log, log


class Shell:
    """An interactive bash of alice's on a terminal of hers. `n` stands for `netjail run lab`."""

    def __init__(self, box: UserBox, rows: int = 24, columns: int = 80) -> None:
        self.box = box
        env = box.env(PS1=PROMPT, INPUTRC=f"{HOME}/.inputrc", NJ=box.launcher)
        words = box.as_user(["bash", "--norc", "--noprofile", "-i"])
        self.tty = pexpect.spawn(
            words[0], words[1:], env=env, timeout=SECONDS, dimensions=(rows, columns),
            encoding="utf-8", codec_errors="replace",
        )  # fmt: skip
        os.chown(_name(self.tty), ALICE, -1)
        self.expect(PROMPT)
        self.do(f'cd {HOME}; n() {{ $NJ run lab "$@"; }}; set +o history')

    def expect(self, what: str) -> str:
        """Wait for a regular expression; what came before it."""
        self.tty.expect(what)
        return str(self.tty.before)

    def type(self, text: str) -> None:
        self.tty.send(text)

    def line(self, text: str) -> None:
        self.tty.sendline(text)

    def do(self, command: str) -> str:
        """A command to its end; what it wrote."""
        self.line(command)
        self.tty.expect_exact(command)
        return self.expect(PROMPT).replace("\r\n", "\n").removeprefix("\n")

    def modes(self) -> list[object]:
        return list(termios.tcgetattr(self.tty.ptyproc.fd))

    def close(self) -> None:
        self.tty.close(force=True)


def _name(tty: object) -> str:
    return f"/dev/pts/{_number(tty)}"


def _number(tty: object) -> int:
    import fcntl
    import struct

    tiocgptn = 0x80045430
    (number,) = struct.unpack("I", fcntl.ioctl(tty.ptyproc.fd, tiocgptn, bytes(4)))  # type: ignore[attr-defined]
    return int(number)


@pytest.fixture
def shell(box: UserBox) -> Iterator[Shell]:
    shell = Shell(box)
    before = shell.modes()
    yield shell
    # bash sets its own modes while it reads a line, so both are those of its prompt
    assert shell.modes() == before
    shell.close()
    eventually(lambda: not [pid for pid in box.inside() if _comm(pid) != "bash"])


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def running(box: UserBox, name: str) -> list[int]:
    return [pid for pid in box.inside() if _comm(pid) == name]


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


# Plain things -----------------------------------------------------------------------------------


def test_it_has_a_terminal(shell: Shell) -> None:
    said = shell.do("n sh -c 'tty; test -t 0 && test -t 1 && test -t 2 && echo all; stty size'")
    assert re.fullmatch(r"/dev/pts/\d+\nall\n24 80\n", said), said
    assert shell.do("tty") not in said
    # the leader of the session is the terminal's keeper, the program leads the foreground
    said = shell.do("n ps -o pid=,pgid=,tpgid= -C ps").split()
    assert said[0] == said[1] == said[2]


def test_nothing_of_root_is_left(shell: Shell, box: UserBox) -> None:
    shell.line("n sleep 60")
    eventually(lambda: running(box, "sleep"))
    (pid,) = running(box, "sleep")
    keepers = running(box, "netjail-tty")
    assert len(keepers) == 1
    for each in (pid, *keepers):
        status = dict(
            line.split(":\t", 1) for line in Path(f"/proc/{each}/status").read_text().splitlines()
        )
        assert status["Uid"].split() == status["Gid"].split() == [str(ALICE)] * 4
        assert all(int(status[f"Cap{name}"], 16) == 0 for name in ("Inh", "Prm", "Eff", "Amb"))
        assert status["Groups"].split() == ["7001", "7100"]
    fds = {fd: os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    assert set(fds) == {"0", "1", "2"} and all(fd.startswith("/dev/pts/") for fd in fds.values())
    keeper = sorted(os.readlink(f"/proc/{keepers[0]}/fd/{fd}")
                    for fd in os.listdir(f"/proc/{keepers[0]}/fd"))  # fmt: skip
    kinds = {re.sub(r"[\d\[\]:]", "", each) for each in keeper}
    assert kinds <= {"/dev/null", "/dev/pts/", "pipe", "socket"} and len(keeper) == 7, keeper
    shell.type("\x03")
    shell.expect(PROMPT)


def test_exit_status_and_death(shell: Shell) -> None:
    assert shell.do("n sh -c 'exit 42'; echo $?") == "42\n"
    assert shell.do("n nosuch; echo $?") == "netjail: nosuch: command not found\n127\n"
    assert shell.do("n sh -c 'kill -TERM $$'; echo $?") == "Terminated\n143\n"
    assert "139" in shell.do("n sh -c 'kill -SEGV $$'; echo $?")
    assert "nosuch" in shell.do("$NJ run nosuch true; echo $?")


def test_output_before_the_end_is_not_lost(shell: Shell) -> None:
    for _ in range(5):
        said = shell.do("n seq 3000 | tail -n 3; n seq 3000")
        lines = said.split()
        assert lines[:3] == ["2998", "2999", "3000"]
        assert lines[3:] == [str(n) for n in range(1, 3001)]


# Signals and jobs -------------------------------------------------------------------------------


def test_interrupt(shell: Shell, box: UserBox) -> None:
    shell.line("n sleep 60; echo no")
    eventually(lambda: running(box, "sleep"))
    shell.type("\x03")
    shell.expect(PROMPT)  # which bash gives the whole line up for, as it should
    assert shell.do("echo $?") == "130\n"


def test_stop_fg_and_bg(shell: Shell, box: UserBox) -> None:
    shell.line("n sleep 60")
    eventually(lambda: running(box, "sleep"))
    (pid,) = running(box, "sleep")
    for _ in range(3):
        shell.type("\x1a")
        shell.expect("Stopped")
        shell.expect(PROMPT)
        assert state(pid) == "T"
        shell.line("fg")
        eventually(lambda: state(pid) == "S")
        time.sleep(0.1)
    shell.type("\x1a")
    shell.expect("Stopped")
    shell.expect(PROMPT)
    shell.do("bg")
    eventually(lambda: state(pid) == "S")
    assert "Running" in shell.do("jobs")
    shell.line("fg")
    shell.expect('sleep 60|"\\$@"')
    time.sleep(0.2)
    shell.type("\x03")
    shell.expect(PROMPT)
    assert shell.do("echo $?") == "130\n"


def test_begun_in_the_background(shell: Shell, box: UserBox) -> None:
    shell.do("n sh -c 'sleep 0.3; echo done-in-bg; stty size; sleep 0.3' &")
    shell.expect("done-in-bg")
    shell.expect("24 80")
    time.sleep(0.6)
    shell.do("")
    assert "Stopped" not in shell.do("jobs")
    # one that reads is stopped, as it would be
    shell.do("n cat &")
    time.sleep(0.5)
    assert "Stopped" in shell.do("jobs; jobs")
    shell.line("fg")
    time.sleep(0.3)
    shell.line("words for it")
    shell.expect("words for it\r\nwords for it\r\n")
    shell.type("\x04")
    shell.expect(PROMPT)


def test_a_script_is_stopped_as_a_whole(shell: Shell, box: UserBox) -> None:
    box.path(f"{HOME}/script").write_text(f"{box.launcher} run lab sleep 60\necho after $?\n")
    shell.line("sh script")
    eventually(lambda: running(box, "sleep"))
    time.sleep(0.2)
    shell.type("\x1a")
    shell.expect("Stopped")
    shell.expect(PROMPT)
    shell.line("fg")
    time.sleep(0.3)
    os.kill(running(box, "sleep")[0], signal.SIGTERM)
    shell.expect("after 143")
    shell.expect(PROMPT)


def test_job_control_inside(shell: Shell, box: UserBox) -> None:
    shell.line("PS1='in> ' n bash --norc --noprofile -i")
    inside = shell.expect("in> ")
    assert "job control" not in inside
    shell.line("sleep 50")
    eventually(lambda: running(box, "sleep"))
    shell.type("\x1a")
    shell.expect("Stopped")
    shell.expect("in> ")
    shell.line("jobs")
    shell.expect("Stopped +sleep 50")
    shell.line("bg; fg")
    time.sleep(0.2)
    shell.type("\x03")
    shell.expect("in> ")
    shell.line("suspend")
    shell.expect("Stopped")
    shell.expect(PROMPT)
    shell.line("fg")
    shell.line("echo here again")
    shell.expect("here again\r\n")
    shell.line("exit 3")
    shell.expect(PROMPT)
    assert shell.do("echo $?") == "3\n"


def test_what_it_leaves_running_lives_on(shell: Shell, box: UserBox) -> None:
    shell.do("n sh -c 'sleep 61 >/dev/null 2>&1 </dev/null &'")
    time.sleep(0.3)
    (pid,) = running(box, "sleep")
    assert state(pid) == "S"
    os.kill(pid, signal.SIGKILL)


# Some of the three ------------------------------------------------------------------------------


def test_pipelines(shell: Shell) -> None:
    assert shell.do("echo hello | n cat | tr a-z A-Z") == "HELLO\n"
    assert shell.do("echo hello | n cat") == "hello\n"
    said = shell.do("n sh -c 'echo out; echo err >&2; tty' > file; cat file")
    assert re.fullmatch(r"err\nout\n/dev/pts/\d+\n", said)
    said = shell.do("n sh -c 'echo to the terminal > /dev/tty' < /dev/null > /dev/null 2>&1")
    assert said == "to the terminal\n"
    assert shell.do("n sh -c 'head -c 3; tty' < file; echo") == "out" + "not a tty\n\n"


def test_a_pager_in_a_pipeline(shell: Shell) -> None:
    if shutil.which("less") is None:
        pytest.skip("needs less")
    shell.line("seq 500 | n less")
    shell.expect("23\r\n:")
    shell.type("G")
    shell.expect("500")
    shell.type("g")
    shell.expect("22\r\n")
    shell.type("\x1a")
    shell.expect("Stopped")
    shell.expect(PROMPT)
    shell.line("fg")
    shell.expect(":")
    shell.type("q")
    shell.expect(PROMPT)


def test_interrupt_in_a_pipeline(shell: Shell, box: UserBox) -> None:
    shell.line("n sh -c 'sleep 60; echo no' | cat")
    eventually(lambda: running(box, "sleep"))
    shell.type("\x03")
    shell.expect("\\^C")
    assert "no" not in shell.expect(PROMPT)
    eventually(lambda: not running(box, "sleep"))


def test_a_password_is_asked_on_the_terminal(shell: Shell, box: UserBox) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("needs ssh-keygen")
    shell.do("ssh-keygen -q -t ed25519 -N secret -f key")
    # as ssh does: readpassphrase(3) on /dev/tty, whatever the three are
    for redirect in ("", "< /dev/null > out", "< /dev/null 2>&1 | cat > out"):
        shell.line(f"n ssh-keygen -y -f key {redirect}")
        shell.expect("passphrase[^:]*:")
        time.sleep(0.1)
        shell.line("secret")
        said = shell.expect(PROMPT)
        assert "secret" not in said
        if redirect:
            said = shell.do("cat out")
        assert "ssh-ed25519" in said, said


# Full screen ------------------------------------------------------------------------------------


def test_an_editor(shell: Shell, box: UserBox) -> None:
    if shutil.which("vim") is None:
        pytest.skip("needs vim")
    shell.line("n vim -u NONE -N letter")
    shell.expect(r"\[New( File)?\]|\[New\]")
    shell.type("iDear Bob\x1b")
    time.sleep(0.2)
    shell.type(":suspend\r")
    shell.expect("Stopped")
    shell.expect(PROMPT)
    shell.line("fg")
    time.sleep(0.3)
    shell.type("oyours\x1b:wq\r")
    shell.expect(PROMPT)
    assert box.path(f"{HOME}/letter").read_text() == "Dear Bob\nyours\n"


def test_a_process_viewer(shell: Shell, box: UserBox) -> None:
    if shutil.which("htop") is None:
        pytest.skip("needs htop")
    shell.do("export HTOPRC=/dev/null TERM=xterm")
    shell.line("n htop -d 5 -C")
    shell.expect("F10")
    shell.tty.setwinsize(40, 120)
    shell.expect("F10")  # drawn anew, for the new size
    shell.type("\x1a")
    shell.expect("Stopped")
    shell.expect(PROMPT)
    shell.line("fg")
    shell.expect("F10")
    shell.type("q")
    shell.expect(PROMPT)
    assert shell.do("echo $?") == "0\n"
    shell.tty.setwinsize(24, 80)


def test_resizing(shell: Shell) -> None:
    code = (
        "import os,signal,sys;signal.signal(28,lambda *a:print(os.get_terminal_size(),flush=True))"
    )
    shell.line(f"n {PYTHON} -c '{code};print(1);[signal.pause() for _ in (1,2)]'")
    shell.expect("1\r\n")
    for rows, columns in ((33, 101), (5, 7)):
        shell.tty.setwinsize(rows, columns)
        shell.expect(f"columns={columns}, lines={rows}")
    shell.expect(PROMPT)
    shell.tty.setwinsize(24, 80)


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
def test_tmux_inside_and_outside(shell: Shell, box: UserBox) -> None:
    shell.do("export TMUX_TMPDIR=$HOME")
    shell.line(
        "tmux -f /dev/null -L out new 'netjail() { $NJ \"$@\"; }; $NJ run lab bash --norc -i'"
    )
    time.sleep(1.5)
    shell.line("echo $((6*7)) > outside; sleep 50")
    eventually(lambda: running(box, "sleep"))
    assert box.path(f"{HOME}/outside").read_text() == "42\n"
    shell.type("\x03")
    shell.line("exit")
    shell.expect(r"\[exited\]")
    shell.expect(PROMPT)
    shell.line("n tmux -f /dev/null -L in new 'bash --norc -i'")
    time.sleep(1.5)
    shell.line("echo $((7*7)) > inside")
    eventually(lambda: box.path(f"{HOME}/inside").exists())
    shell.type("\x02d")  # detach: its server and what runs there stay, in the jail
    shell.expect("detached")
    shell.expect(PROMPT)
    assert "1 windows" in shell.do("n tmux -L in ls")
    shell.do("n tmux -L in kill-server")


# The end of one of the two ----------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1])
def test_signals_to_the_client(shell: Shell, box: UserBox, number: int) -> None:
    shell.line("n sleep 60")
    eventually(lambda: running(box, "sleep"))
    time.sleep(0.1)
    (client,) = clients(box)
    os.kill(client, number)
    shell.expect(PROMPT)
    assert shell.do("echo $?") == f"{128 + number}\n"


def clients(box: UserBox) -> list[int]:
    found = []
    for pid in box.inside():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if box.launcher.encode() in words and b"run" in words:
            found.append(pid)
    return found


def test_a_killed_client_is_a_closed_terminal(shell: Shell, box: UserBox) -> None:
    shell.line("n sh -c 'trap \"echo hup > hup; exit\" HUP; sleep 60 & wait'")
    eventually(lambda: running(box, "sleep"))
    (client,) = clients(box)
    os.kill(client, signal.SIGKILL)
    shell.expect("Killed")
    shell.expect(PROMPT)
    eventually(lambda: box.path(f"{HOME}/hup").exists())
    eventually(lambda: not running(box, "netjail-tty"))
    for pid in running(box, "sleep"):
        os.kill(pid, signal.SIGKILL)


def test_a_killed_keeper(shell: Shell, box: UserBox) -> None:
    shell.line("n sleep 60; echo $?")
    eventually(lambda: running(box, "netjail-tty") and running(box, "sleep"))
    time.sleep(0.1)
    os.kill(running(box, "netjail-tty")[0], signal.SIGKILL)
    shell.expect("137")
    shell.expect(PROMPT)
    eventually(lambda: not running(box, "sleep"))  # the session's leader is gone: SIGHUP


def test_a_closed_terminal(box: UserBox) -> None:
    shell = Shell(box)
    shell.line("n sleep 60")
    eventually(lambda: running(box, "sleep"))
    shell.close()
    eventually(lambda: not running(box, "sleep") and not clients(box))


def test_without_a_shell_there_is_no_stopping(box: UserBox) -> None:
    """The client leads the session, as in `xterm -e netjail run ...`: nobody could say fg."""
    words = box.as_user([box.launcher, "run", "lab", "sh", "-c", "sleep 1; echo on and on"])
    tty = pexpect.spawn(words[0], words[1:], env=box.env(), timeout=SECONDS, encoding="utf-8")
    eventually(lambda: running(box, "sleep"))
    time.sleep(0.2)
    tty.send("\x1a")
    tty.expect("on and on")
    tty.expect(pexpect.EOF)
    tty.close()
    assert tty.exitstatus == 0


# Bulk -------------------------------------------------------------------------------------------

WRITER = """
import hashlib, sys
block = bytes(range(32, 127)) * 700 + b"\\n"
h = hashlib.sha256(); left = {size}
while left > 0:
    part = block[:left]; sys.stdout.buffer.write(part); h.update(part); left -= len(part)
sys.stdout.flush()
print("\\n" + h.hexdigest())
"""


@pytest.mark.slow
def test_a_hundred_megabytes(box: UserBox) -> None:
    size = 100_000_000
    words = box.as_user([box.launcher, "run", "lab", PYTHON, "-c", WRITER.format(size=size)])
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe(words[0], words, box.env())
    found, tail, count = hashlib.sha256(), b"", 0
    begin = time.monotonic()
    while True:
        try:
            data = os.read(fd, 65536)
        except OSError:
            break
        tail += data
        if len(tail) > 4096:
            part, tail = tail[:-4096], tail[-4096:]
            if part.endswith(b"\r"):
                part, tail = part[:-1], b"\r" + tail
            part = part.replace(b"\r\n", b"\n")
            found.update(part)
            count += len(part)
    tail = tail.replace(b"\r\n", b"\n")
    rest, _, said = tail[:-1].rpartition(b"\n")
    found.update(rest)
    os.waitpid(pid, 0)
    os.close(fd)
    assert count + len(rest) == size
    assert found.hexdigest() == said.decode()
    assert time.monotonic() - begin < 60


def test_a_megabyte_in(box: UserBox) -> None:
    size = 1_000_000
    script = f"stty raw -echo; echo ready; head -c {size} | sha256sum"
    words = box.as_user([box.launcher, "run", "lab", "sh", "-c", script])
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe(words[0], words, box.env())
    data = bytes(n % 251 for n in range(size))
    said, at = b"", 0
    os.set_blocking(fd, False)
    while hashlib.sha256(data).hexdigest().encode() not in said:
        want = [fd] if b"ready" in said and at < size else []
        ready = select.select([fd], want, [], SECONDS)
        assert ready[0] or ready[1], said
        try:
            if ready[0]:
                said += os.read(fd, 65536)
            if ready[1]:
                at += os.write(fd, data[at : at + 4096])
        except BlockingIOError:
            continue
    os.waitpid(pid, 0)
    os.close(fd)
