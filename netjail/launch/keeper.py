# SPDX-License-Identifier: GPL-3.0-or-later
"""The keeper of a program's terminal: the small process between the program and the spawner.

A program on a terminal needs a parent in its own session, or its process group is an orphan whose
stop signals (Ctrl-Z) the kernel throws away. The keeper is that parent and the session's leader;
it runs as the user, outside of the jail. It tells the client when the program stops or ends, and
does what the client asks for: signals, and going on in the foreground or background. The model is
the monitor process of sudo's use_pty.
"""

import _signal  # type: ignore[import-not-found]  # the package signal imports enum
import _socket
import fcntl
import posix
import select
import termios

from netjail import names
from netjail.launch import processes, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_JOB_CONTROL = (_signal.SIGTTOU, _signal.SIGTTIN, _signal.SIGTSTP)
_PASSED_ON = (_signal.SIGTERM, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGUSR1, _signal.SIGUSR2)


def split(terminal: int, foreground: bool) -> int:
    """Fork into keeper (gets the program's pid) and program-to-be (gets 0), on that terminal.

    We lead a session without terminal when this begins.
    """
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    pid = posix.fork()
    if pid == 0:
        posix.setpgid(0, 0)
        if foreground:
            _take(terminal, posix.getpid())
    else:
        try:
            posix.setpgid(pid, pid)
        except OSError:
            pass  # it has done so itself, and is under way
    return pid


def _take(terminal: int, group: int) -> None:
    """Make a process group the terminal's foreground, wherever we are ourselves."""
    before = _signal.signal(_signal.SIGTTOU, _signal.SIG_IGN)
    try:
        posix.tcsetpgrp(terminal, group)
    except OSError:
        pass  # hung up, or the group is no more
    finally:
        _signal.signal(_signal.SIGTTOU, before)


def keep(pid: int, sock: "_socket.socket", terminal: int, become: "Callable[[], None]") -> int:
    """Serve the client until the program has ended; gives our exit status."""
    wake, wake_writer = posix.pipe2(posix.O_NONBLOCK | posix.O_CLOEXEC)
    _signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
    for number in (_signal.SIGCHLD, *_PASSED_ON):
        _signal.signal(number, _nothing)
    # SIGHUP: that the terminal is closed shows by the client's end of the channel
    for number in (_signal.SIGHUP, *_JOB_CONTROL):
        _signal.signal(number, _signal.SIG_IGN)
    become()
    processes.set_name(b"netjail-tty")
    null = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
    for fd in (0, 1, 2):
        posix.dup2(null, fd)
    posix.close(null)
    posix.chdir("/")  # not to keep a file system busy
    return _Keeper(pid, sock, terminal, wake).run()


def _nothing(_number: int, _frame: object) -> None:
    pass


class _Keeper:
    def __init__(self, pid: int, sock: "_socket.socket", terminal: int, wake: int) -> None:
        self._pid = pid
        self._sock = sock
        self._terminal = terminal
        self._wake = wake
        self._status: int | None = None

    def run(self) -> int:
        self._tell(wire.PROGRAM, self._pid)
        poll = select.poll()
        poll.register(self._sock.fileno(), select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while self._status is None:
            for fd, _ in poll.poll():
                if fd == self._wake:
                    self._signalled()
                elif not self._asked():
                    return self._alone()
        # When we end, the kernel sends SIGHUP to the terminal's foreground group: let that be us,
        # what the program has left running is to live on.
        _take(self._terminal, posix.getpgrp())
        self._tell(wire.ENDED, self._status)
        return _end_like(self._status)

    def _signalled(self) -> None:
        for number in posix.read(self._wake, 512):
            if number == _signal.SIGCHLD:
                self._look()
            else:
                self._kill(number)

    def _look(self) -> None:
        """Whether the program has stopped or ended."""
        while True:
            try:
                pid, status = posix.waitpid(self._pid, posix.WNOHANG | posix.WUNTRACED)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if posix.WIFSTOPPED(status):
                self._tell(wire.STOPPED, posix.WSTOPSIG(status))
            else:
                self._status = status
                return

    def _asked(self) -> bool:
        """Do what the client wants; whether there still is one."""
        try:
            packet = self._sock.recv(64)
        except OSError:
            packet = b""
        if not packet:
            return False
        number = int(packet[1:]) if packet[1:].isdigit() else 0
        if packet[:1] == wire.SIGNAL and 0 < number <= 64:
            self._kill(number)
        elif packet[:1] == wire.GO_ON:
            _take(self._terminal, self._pid if number else posix.getpgrp())
            self._kill(_signal.SIGCONT)
        return True

    def _alone(self) -> int:
        """The client is gone, and with it the terminal: what a closed terminal does."""
        self._kill(_signal.SIGHUP)
        self._kill(_signal.SIGCONT)
        return names.EXIT_RUN_FAILED

    def _kill(self, number: int) -> None:
        try:
            posix.killpg(self._pid, number)
        except OSError:
            pass  # gone, or another user's by now

    def _tell(self, kind: bytes, number: int) -> None:
        try:
            self._sock.send(kind + b"%d" % number)
        except OSError:
            pass


def _end_like(status: int) -> int:
    """The exit status of the program, for the spawner; or death by the same signal."""
    if not posix.WIFSIGNALED(status):
        return posix.waitstatus_to_exitcode(status)
    number = posix.WTERMSIG(status)
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _signal.signal(number, _signal.SIG_DFL)
    except (OSError, ValueError):
        pass  # SIGKILL takes no handler
    posix.kill(posix.getpid(), number)
    return 128 + number
