# SPDX-License-Identifier: GPL-3.0-or-later
"""The client's side of a launch: reads the helper's answer, sends the descriptors, waits for the
end. It is imported while the helper works on the request (see `asking`).

On the launch path: nothing that is not built in, save `_socket`, `select` and, on a terminal,
`terminal`. The usual answer is read without the package json.
"""

import _signal  # type: ignore[import-not-found]  # the package signal imports enum
import _socket
import posix
import select
import sys

from netjail import launch, names
from netjail.launch import asking, wire
from netjail.launch.asking import FailedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from netjail.launch.terminal import Terminal

_FDS = 3
"""pidfd, status pipe, channel: what comes with the answer."""
_NOSIGNAL = 0x4000
_EARLY = b'{"id":1,"early":true}\n'
"""Before the answer: here are descriptors, in case it is yes."""

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
        self._serve(wire.DESCRIPTORS_EARLY)

    def finish(self) -> "NoReturn":
        """Let the program begin, wait for its end, and end like it. Raises FailedError."""
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
) -> Launch | None:
    """Ask the helper at `path` to start a program; None where no helper takes requests. Raises, and
    takes the rest, as `asking.ask`."""
    sock = launch.connect(path, profile)
    if sock is None:
        return None
    terminal = asking.ask(
        sock, profile, argv, env=env, wait=wait, detach=detach, interactive=interactive
    )
    return Launch(sock, terminal, detach)


def _own_fds(terminal: "Terminal | None") -> list[int]:
    return [0, 1, 2] if terminal is None else terminal.descriptors()


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
