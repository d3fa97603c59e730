# SPDX-License-Identifier: GPL-3.0-or-later
"""The relay between the user's terminal and the one that the program gets, after the model of
sudo's use_pty.

The program's terminal is a pair that the client makes. While the client is in the foreground and
the program wants the terminal, the user's is in raw mode: keys go through as they are, and the
program's terminal makes signals of them. In the background, or as a part of a pipeline, the
user's terminal stays as it is, and the program begins in the background of its own: as soon as it
wants to read from it or change it, the kernel stops it, its keeper tells, and the client takes the
foreground for it, or stops as well until its shell says `fg`.
"""

import _signal  # type: ignore[import-not-found]  # the package signal imports enum
import fcntl
import posix
import select
import termios

from netjail.launch import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from typing import Any

    from netjail.launch.asking import FailedError

_BUFFER = 65536
"""Bytes that wait in each direction before no more are read."""
_DRAIN = 1 << 20
"""At the end: what the program itself has left is less, and what it left running may go on."""
_PAUSE = 200
"""Milliseconds between two tries of a program to get a terminal that nobody will give it."""
_WANTS_TERMINAL = (_signal.SIGTTIN, _signal.SIGTTOU)


class Terminal:
    def __init__(self, fd: int) -> None:
        """`fd`: our controlling terminal, opened for us alone, non-blocking."""
        self._tty = fd
        self._master = self._slave = -1
        self._modes: list[Any] = []
        """The user's, while it is raw."""
        self._copied = False
        self._ours = [_is_ours(number) for number in (0, 1, 2)]
        piped = any(_is_pipe(number) for number in (0, 1))
        self._wanted = self._ours[0] and not piped
        """Whether the program is to have the terminal as soon as we have it."""
        self.mode = "terminal" if self._wanted and self._in_foreground() else "background"
        """What the request calls it."""
        self._raw = False
        self._gone = False

    def open(self) -> None:
        """Make the pair, like the user's terminal."""
        self._master, self._slave = posix.openpty()
        if self._in_foreground():
            self._copy_modes()
        self._copy_size()

    def descriptors(self) -> list[int]:
        """The program's three, those that are our terminal replaced; and its terminal."""
        fds = [self._slave if ours else fd for fd, ours in enumerate(self._ours)]
        return [*fds, self._slave]

    def relay(self, channel: "_socket.socket", status: int) -> int:
        """Until the program has ended: its wait status. Raises asking.FailedError."""
        posix.close(self._slave)
        return _Relay(self, channel, status).run()

    # The user's terminal -----------------------------------------------------------------------

    def _in_foreground(self) -> bool:
        try:
            return posix.tcgetpgrp(self._tty) == posix.getpgrp()
        except OSError:
            return False

    def _copy_modes(self) -> None:
        """To the program's, once: while we are in the background, the user's has those with which
        the shell reads its lines."""
        if not self._copied:
            self._copied = True
            termios.tcsetattr(self._master, termios.TCSANOW, termios.tcgetattr(self._tty))

    def _copy_size(self) -> None:
        try:
            size = fcntl.ioctl(self._tty, termios.TIOCGWINSZ, bytes(8))
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)
        except OSError:
            pass  # the user's is closed

    def make_raw(self) -> bool:
        """Take over the user's terminal; whether we have it."""
        if not self._in_foreground():
            return False
        if not self._raw:
            try:
                self._modes = termios.tcgetattr(self._tty)
                self._copy_modes()
                termios.tcsetattr(self._tty, termios.TCSADRAIN, _raw(self._modes))
                self._raw = True
            except (OSError, termios.error):
                return False
        return True

    def restore(self) -> None:
        """Give it back as it was, unless it is somebody else's by now."""
        if self._raw and self._in_foreground():
            try:
                termios.tcsetattr(self._tty, termios.TCSADRAIN, self._modes)
            except (OSError, termios.error):
                pass
        self._raw = False


class _Relay:
    def __init__(self, terminal: Terminal, channel: "_socket.socket", status: int) -> None:
        self._terminal = terminal
        self._tty = terminal._tty
        self._master = terminal._master
        self._channel = channel
        self._status = status
        self._in = b""
        self._out = b""
        self._held = b""
        self._failed: FailedError | None = None
        self._ended: int | None = None
        posix.set_blocking(self._master, False)
        self._wake, writer = posix.pipe2(posix.O_NONBLOCK | posix.O_CLOEXEC)
        _signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        from netjail.launch import request  # which is there by now

        for number in (*request.FORWARDED, _signal.SIGTSTP):
            if _signal.getsignal(number) != _signal.SIG_IGN:
                _signal.signal(number, request._nothing)
        for number in (_signal.SIGWINCH, _signal.SIGCONT):
            _signal.signal(number, request._nothing)

    def run(self) -> int:
        try:
            if self._terminal.mode == "terminal":
                self._terminal.make_raw()
            while self._ended is None:
                self._turn()
            self._drain()
        finally:
            self._terminal.restore()
        if self._failed is not None:
            raise self._failed
        return self._ended

    # One turn ----------------------------------------------------------------------------------

    def _turn(self) -> None:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        poll.register(self._channel.fileno(), select.POLLIN)
        terminal = self._terminal
        tty = select.POLLIN if terminal._raw and len(self._in) < _BUFFER else 0
        tty |= select.POLLOUT if self._out else 0
        if tty and not terminal._gone:
            poll.register(self._tty, tty)
        master = select.POLLIN if len(self._out) < _BUFFER else 0
        master |= select.POLLOUT if self._in else 0
        if master and self._master >= 0:
            poll.register(self._master, master)
        for fd, events in poll.poll():
            if fd == self._wake:
                for number in posix.read(fd, 512):
                    self._signalled(number)
            elif fd == self._channel.fileno():
                self._hear()
            elif fd == self._tty:
                self._tty_ready(events)
            elif fd == self._master:
                self._master_ready(events)

    def _tty_ready(self, events: int) -> None:
        if events & select.POLLOUT:
            self._write_tty()
        if events & ~select.POLLOUT and self._terminal._raw:
            data = _read(self._tty)
            if data:
                self._in += data
                self._write_master()
            elif data is not None:
                self._hung_up()

    def _master_ready(self, events: int) -> None:
        if events & select.POLLOUT:
            self._write_master()
        if events & ~select.POLLOUT and self._master >= 0:
            data = _read(self._master)
            if data:
                self._take(data)
                self._write_tty()
            elif data is not None:
                self._close_master()  # nobody has it open; the program may still live

    def _take(self, data: bytes) -> None:
        """Output of the program, for the user's terminal.

        Where that one is not raw, it makes line ends of its own (ONLCR), as the program's did
        before: take one of the two back.
        """
        data = self._held + data
        self._held = b""
        if not self._terminal._raw:
            if data.endswith(b"\r"):
                data, self._held = data[:-1], b"\r"
            data = data.replace(b"\r\n", b"\n")
        self._out += data

    def _write_tty(self) -> None:
        if self._terminal._gone:
            self._out = b""
            return
        try:
            self._out = self._out[posix.write(self._tty, self._out) :]
        except BlockingIOError:
            pass
        except InterruptedError:
            pass
        except OSError:
            self._hung_up()

    def _write_master(self) -> None:
        try:
            self._in = self._in[posix.write(self._master, self._in) :]
        except BlockingIOError:
            pass
        except OSError:
            self._in = b""

    def _hung_up(self) -> None:
        """The user's terminal is closed; so, then, is the program's."""
        if not self._terminal._in_foreground() and _is_open(self._tty):
            self._terminal._raw = False  # not closed: somebody else has the foreground
            return
        self._terminal._gone = True
        self._out = b""
        self._close_master()

    def _close_master(self) -> None:
        if self._master >= 0:
            posix.close(self._master)
            self._master = -1
            self._in = b""

    def _drain(self) -> None:
        """Write out what the program has left."""
        if self._master >= 0:
            left = _DRAIN
            while left > 0 and (data := _read(self._master)):
                left -= len(data)
                self._take(data)
        self._out += self._held
        poll = select.poll()
        poll.register(self._tty, select.POLLOUT)
        while self._out and not self._terminal._gone:
            poll.poll()
            self._write_tty()

    # Signals, and what the keeper says ---------------------------------------------------------

    def _signalled(self, number: int) -> None:
        if number == _signal.SIGWINCH:
            if self._master >= 0:
                self._terminal._copy_size()
        elif number == _signal.SIGCONT:
            self._go_on()
        else:
            self._say(wire.SIGNAL, number)

    def _hear(self) -> None:
        packet = wire.receive(self._channel)
        kind, text = packet[:1], packet[1:]
        if kind == wire.FAILED:
            from netjail.launch import asking

            self._failed = asking.FailedError(*wire.parse_failed(packet))
        elif kind == wire.STOPPED:
            self._stopped(int(text))
        elif kind == wire.ENDED:
            self._ended = int(text)
        elif not packet:
            # the keeper is gone without a word: killed, most likely
            self._ended = int(posix.read(self._status, 64) or b"%d" % _signal.SIGKILL)

    def _stopped(self, number: int) -> None:
        """The program has stopped: so do we, unless it only wants the terminal and we have it."""
        if number in _WANTS_TERMINAL and self._terminal.make_raw():
            self._terminal._wanted = True
            self._say(wire.GO_ON, 1)
            return
        if number in _WANTS_TERMINAL:
            self._terminal._wanted = True
        self._flush()
        self._terminal.restore()
        if number != _signal.SIGSTOP:
            before = _signal.signal(number, _signal.SIG_DFL)
            posix.kill(0, number)
            _signal.signal(number, before)
        else:
            posix.kill(0, number)
        if number in _WANTS_TERMINAL and not self._terminal._in_foreground():
            # nothing stopped us, or `bg` has continued us: it will want the terminal again
            select.poll().poll(_PAUSE)
        # Here again we are continued; or nothing stopped us, because there is no shell that could
        # continue us: then the program has to go on as well.
        self._go_on()

    def _go_on(self) -> None:
        self._terminal._copy_size()
        foreground = self._terminal._wanted and self._terminal.make_raw()
        self._say(wire.GO_ON, 1 if foreground else 0)

    def _flush(self) -> None:
        """Before we stop: what has been shown already to the program's eyes."""
        if self._master >= 0:
            while len(self._out) < _BUFFER and (data := _read(self._master)):
                self._take(data)
        self._write_tty()

    def _say(self, kind: bytes, number: int) -> None:
        try:
            self._channel.send(kind + b"%d" % number)
        except OSError:
            pass  # it has ended, which shows elsewhere


def _read(fd: int) -> bytes | None:
    """What there is; None: nothing now; empty: closed."""
    try:
        return posix.read(fd, _BUFFER)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError:
        return b""


def _is_ours(fd: int) -> bool:
    """Whether a descriptor is our controlling terminal."""
    try:
        posix.tcgetpgrp(fd)
    except OSError:
        return False
    return True


def _is_open(tty: int) -> bool:
    try:
        posix.tcgetpgrp(tty)
    except OSError:
        return False
    return True


def _is_pipe(fd: int) -> bool:
    try:
        return posix.fstat(fd).st_mode & 0o170000 == 0o010000
    except OSError:
        return False


def _raw(modes: "list[Any]") -> "list[Any]":
    """As cfmakeraw(3)."""
    iflag, oflag, cflag, lflag, ispeed, ospeed, cc = modes
    t = termios
    iflag &= ~(t.IGNBRK | t.BRKINT | t.PARMRK | t.ISTRIP | t.INLCR | t.IGNCR | t.ICRNL | t.IXON)
    oflag &= ~t.OPOST
    cflag = cflag & ~(t.CSIZE | t.PARENB) | t.CS8
    lflag &= ~(t.ECHO | t.ECHONL | t.ICANON | t.ISIG | t.IEXTEN)
    cc = list(cc)
    cc[t.VMIN], cc[t.VTIME] = 1, 0
    return [iflag, oflag, cflag, lflag, ispeed, ospeed, cc]
