# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the helper to start a program. What the request itself does not need is not imported here:
that comes while the helper works on it (see `request`).

On the launch path: nothing that is not built in, save, on a terminal, `terminal`. The request is
written without the package json.
"""

import _signal  # type: ignore[import-not-found]  # the package signal imports enum
import posix
import sys

from netjail import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

    from netjail.launch.terminal import Terminal

_LINE_MAX = 1 << 20
"""Of a request, as the helper takes it."""

_ESCAPES = {number: f"\\u{number:04x}" for number in range(32)} | {34: '\\"', 92: "\\\\"}
_LIST_ESCAPES = _ESCAPES | {0: '","'}
"""For texts with zero bytes between them."""

_SILENT = ',"interactive":false'
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


def ask(
    sock: "_socket.socket",
    profile: str,
    argv: list[str],
    *,
    env: list[bytes] | None = None,
    wait: float | None = None,
    detach: bool = False,
    interactive: bool = True,
) -> "Terminal | None":
    """Send the request over `sock` (see `netjail.launch`); gives our terminal, if the program is to
    have one.

    `env`: entries as in environ(7), by default our own. `wait`: see `up`; None: only for a tunnel
    that was down. Raises FailedError for what is too long to be asked.
    """
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
    return terminal


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
