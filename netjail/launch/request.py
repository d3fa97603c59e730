# SPDX-License-Identifier: GPL-3.0-or-later
"""The client's side of a launch: asks the helper, sends the descriptors, waits for the end.

On the launch path: nothing that is not built in, save `_socket`, `select` and, on a terminal,
`terminal`; what the request itself does not need is imported while the helper works on it. The
request is written and the usual answer read without the package json.
"""

import _signal  # type: ignore[import-not-found]  # the package signal imports enum
import _socket
import posix
import sys

from netjail import launch, names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from netjail.launch.terminal import Terminal

_FDS = 3
"""pidfd, status pipe, channel: what comes with the answer."""
_LINE_MAX = 1 << 20
"""Of a request, as the helper takes it."""

_ESCAPES = {number: f"\\u{number:04x}" for number in range(32)} | {34: '\\"', 92: "\\\\"}
_LIST_ESCAPES = _ESCAPES | {0: '","'}
"""For texts with zero bytes between them."""

_NOSIGNAL = 0x4000
_EARLY = b'{"id":1,"early":true}\n'
"""Before the answer: here are descriptors, in case it is yes."""
_SILENT = ',"interactive":false'

FORWARDED = (
    _signal.SIGTERM,
    _signal.SIGINT,
    _signal.SIGHUP,
    _signal.SIGQUIT,
    _signal.SIGUSR1,
    _signal.SIGUSR2,
    _signal.SIGALRM,
)
"""Signals to us that are meant for the program."""
_PYTHONS = (_signal.SIGPIPE, _signal.SIGXFSZ)
"""Python ignores them; whether our caller does cannot be told."""


class FailedError(Exception):
    """There is no program: the exit status, and the parts of a NetjailError (see errors)."""

    def __init__(self, status: int, code: str, message: str, hint: str | None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.hint = hint


class Launch:
    """One launch, from connecting to the end of the program."""

    def __init__(self, sock: "_socket.socket", terminal: "Terminal | None", detach: bool) -> None:
        self._sock = sock
        self._terminal = terminal
        self._detach = detach
        self._received = b""
        self._fds: list[int] = []
        self._served = -1
        """The channel over which the descriptors have been sent."""

    # The helper --------------------------------------------------------------------------------

    def _receive(self) -> bool:
        """Read on; False at the end."""
        space = _socket.CMSG_SPACE(4 * _FDS)
        data, controls, _, _ = self._sock.recvmsg(65536, space, _socket.MSG_CMSG_CLOEXEC)
        for level, kind, found in controls:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                self._fds += memoryview(found[: len(found) // 4 * 4]).cast("i")
        self._received += data
        return bool(data)

    def started(self) -> bool:
        """Whether the first that the helper says is that the program was started, in a jail that
        was up; False: it is something else, for `answer` to say."""
        while b"\n" not in self._received and self._receive():
            if self._received.startswith(_EARLY) and len(self._fds) == _FDS:
                self._received = self._received[len(_EARLY) :]
                self._serve_early()
        line = self._received
        return (
            line.startswith(b'{"id":1,"result":{')
            and line.endswith(b"}\n")
            and b'"state":"up"' in line
            and b'"changed":false' in line
            and len(self._fds) == _FDS
        )

    def answer(self, progress: "Callable[[str], None]") -> "dict[str, Any]":
        """The helper's result. Raises NetjailError: the helper's, or no-helper."""
        import json

        from netjail.errors import NetjailError

        while True:
            line, newline, rest = self._received.partition(b"\n")
            if not newline:
                if self._receive():
                    continue
                raise NetjailError(
                    "no-helper",
                    "the helper ended before it had started the program",
                    "run the command again",
                )
            self._received = rest
            said = json.loads(line)
            if "early" in said:
                self._serve_early()
            elif "progress" in said:
                progress(str(said["progress"]))
            elif "error" in said:
                error = NetjailError.from_dict(said["error"])
                error.prompt = said.get("prompt") is True
                raise error
            else:
                result: dict[str, Any] = said["result"]
                return result

    def replace(self, other: "Launch") -> None:
        """Become another launch, of the same program."""
        self._sock.close()
        self._sock, self._terminal = other._sock, other._terminal
        self._received, self._fds = other._received, other._fds
        self._served = other._served

    # The program -------------------------------------------------------------------------------

    def _serve(self, packet: bytes) -> None:
        """Send the program's descriptors to the newest child that the helper has told of, once."""
        channel = self._fds[-1]
        if channel == self._served:
            return
        self._served = channel
        own = [] if self._detach else _own_fds(self._terminal)
        directory = posix.open(".", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
        data = b"".join(fd.to_bytes(4, sys.byteorder) for fd in (directory, *own))
        sock = _socket.socket(fileno=channel)
        try:
            sock.sendmsg([packet], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, data)], _NOSIGNAL)
        except OSError:
            pass  # it may have said why
        finally:
            sock.detach()
            posix.close(directory)

    def _serve_early(self) -> None:
        from netjail.launch import wire

        self._serve(wire.DESCRIPTORS_EARLY)

    def finish(self) -> "NoReturn":
        """Let the program begin, wait for its end, and end like it. Raises FailedError."""
        from netjail.launch import wire

        pidfd, status, channel = self._fds[-_FDS:]
        if self._terminal is None:
            signals = _Signals(self._detach)
        early = self._served == channel
        self._serve(wire.DESCRIPTORS)
        sock = _socket.socket(fileno=channel)
        if early:
            try:
                sock.send(wire.READY, _NOSIGNAL)
            except OSError:
                pass  # it may have said why
        self._sock.close()
        if self._detach:
            packet = wire.receive(sock)
            if packet:
                raise FailedError(*wire.parse_failed(packet))
            posix._exit(0)
        if self._terminal is not None:
            ended = self._terminal.relay(sock, status)
        else:
            ended = _Waiting(pidfd, status, sock, signals).run()
        _end_like(ended)


def begin(
    profile: str,
    argv: list[str],
    *,
    env: list[bytes] | None = None,
    wait: float | None = None,
    detach: bool = False,
    interactive: bool = True,
    path: str = names.SOCKET,
    sock: "_socket.socket | None" = None,
) -> Launch | None:
    """Ask the helper at `path` to start a program; None where no helper takes requests.

    `sock`: one that is connected already (see `netjail.launch`); it is ours from here on. `env`:
    entries as in environ(7), by default our own. `wait`: see `up`; None: only for a tunnel that was
    down.
    Raises FailedError for what is too long to be asked.
    """
    if sock is None:
        sock = launch.connect(path)
    if sock is None:
        return None
    terminal = None if detach else _terminal()
    stdio = "detached" if detach else "plain" if terminal is None else terminal.mode
    more = f'"stdio":"{stdio}","wait":{"null" if wait is None else wait}'
    line = _line(profile, argv, env, more, interactive)
    if len(line) > _LINE_MAX:
        raise FailedError(
            126,
            "usage",
            f"the arguments and the environment are too long: {len(line)} bytes, where "
            f"{_LINE_MAX} can be passed on",
            "give them in a file, if the program can read them from one",
        )
    try:
        sock.sendall(line)
    except OSError:
        pass  # it may have said why
    if terminal is not None:
        terminal.open()
    _read_on()
    return Launch(sock, terminal, detach)


def _read_on() -> None:
    """Import now, while the helper is at work, what comes after its answer."""
    import select  # noqa: F401

    from netjail.launch import wire  # noqa: F401


def _terminal() -> "Terminal | None":
    """Our controlling terminal, if there is one."""
    flags = posix.O_RDWR | posix.O_NOCTTY | posix.O_CLOEXEC | posix.O_NONBLOCK
    try:
        # our own open file, so that it may be non-blocking
        fd = posix.open("/dev/tty", flags)
    except OSError:
        return None
    from netjail.launch import terminal

    return terminal.Terminal(fd)


def _own_fds(terminal: "Terminal | None") -> list[int]:
    return [0, 1, 2] if terminal is None else terminal.descriptors()


def _line(
    profile: str, argv: list[str], env: list[bytes] | None, more: str, interactive: bool
) -> bytes:
    """The request. `more`: further parameters, in JSON."""
    entries = _environ() if env is None else b"\0".join(env)
    words = "\0".join(argv).encode(sys.getfilesystemencoding(), "surrogateescape")
    umask = posix.umask(0o077)
    posix.umask(umask)
    head = f'{{"v":{names.PROTOCOL},"id":1,"method":"launch"{"" if interactive else _SILENT}'
    params = f'"profile":"{profile}","umask":{umask},"ignored":{_ignored()},"early":true,{more}'
    lists = b'"argv":[%b],"env":[%b]' % (_strings(words), _strings(entries) if entries else b"")
    return f'{head},"params":{{{params},'.encode() + lists + b"}}\n"


def _strings(data: bytes) -> bytes:
    """Texts with zero bytes between them as JSON strings with commas."""
    text = data.decode("utf-8", "surrogateescape").translate(_LIST_ESCAPES)
    try:
        return b'"%b"' % text.encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8: as lone surrogates, escaped
        text = "".join(c if not 0xD800 <= ord(c) < 0xE000 else f"\\u{ord(c):04x}" for c in text)
        return b'"%b"' % text.encode()


def _environ() -> bytes:
    """Our environment as it was given to us, without what Python adds to it."""
    try:
        fd = posix.open("/proc/self/environ", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:  # of a process that has changed its user it is root's
        return b"\0".join(name + b"=" + value for name, value in posix.environ.items())
    try:
        return b"".join(iter(lambda: posix.read(fd, 65536), b"")).rstrip(b"\0")
    finally:
        posix.close(fd)


def _ignored() -> int:
    """The signals that we ignore, as bits (1 << number)."""
    bits = 0
    for number in range(1, 32):
        if _signal.getsignal(number) == _signal.SIG_IGN and number not in _PYTHONS:
            bits |= 1 << number
    return bits


class _Signals:
    """Signals that come as bytes over a pipe. Those that our caller ignores stay ignored."""

    def __init__(self, nothing: bool = False) -> None:
        self.fd, writer = posix.pipe2(posix.O_NONBLOCK | posix.O_CLOEXEC)
        if nothing:
            return
        _signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (*FORWARDED, _signal.SIGCONT, _signal.SIGTSTP):
            if _signal.getsignal(number) != _signal.SIG_IGN:
                _signal.signal(number, _nothing)


def _nothing(_number: int, _frame: object) -> None:
    pass


class _Waiting:
    """For the end of a program that has our own descriptors."""

    def __init__(
        self, pidfd: int, status: int, channel: "_socket.socket", signals: _Signals
    ) -> None:
        self._pidfd = pidfd
        self._status = status
        self._channel = channel
        self._signals = signals

    def run(self) -> int:
        """Its wait status. Raises FailedError."""
        import select

        poll = select.poll()
        poll.register(self._status, select.POLLIN)
        poll.register(self._signals.fd, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == self._signals.fd:
                    for number in posix.read(fd, 512):
                        self._pass_on(number)
                else:
                    return ended(fd, self._pidfd, self._channel)

    def _pass_on(self, number: int) -> None:
        if number != _signal.SIGTSTP:
            _send(self._pidfd, number)
            return
        # In a session of its own, its group is an orphan to the kernel, which then drops this
        # signal unless it is caught: stop it for certain, as the terminal would have.
        _send(self._pidfd, number)
        _send(self._pidfd, _signal.SIGSTOP)
        posix.kill(posix.getpid(), _signal.SIGSTOP)


def _send(pidfd: int, number: int) -> None:
    try:
        _signal.pidfd_send_signal(pidfd, number)
    except OSError:
        pass  # ended, or become another user's


def ended(status: int, pidfd: int, channel: "_socket.socket") -> int:
    """What the status pipe says, when it says something. Raises FailedError."""
    from netjail.launch import wire

    said = posix.read(status, 64)
    channel.settimeout(0)
    packet = wire.receive(channel)
    if packet[:1] == wire.FAILED:
        raise FailedError(*wire.parse_failed(packet))
    if said:
        return int(said)
    from netjail.launch import orphan

    found = orphan.wait_status(pidfd)
    if found is not None:
        return found
    raise FailedError(
        125,
        "system",
        "the program has ended, but how is not known: netjail's spawner ended before",
        None,
    )


def _end_like(status: int) -> "NoReturn":
    """Exit with the program's exit status, or die by the signal that it died of."""
    if not posix.WIFSIGNALED(status):
        posix._exit(posix.waitstatus_to_exitcode(status))
    number = posix.WTERMSIG(status)
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    try:
        _signal.signal(number, _signal.SIG_DFL)
    except (OSError, ValueError):
        pass  # SIGKILL takes no handler
    posix.kill(posix.getpid(), number)
    posix._exit(128 + number)
