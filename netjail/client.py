# SPDX-License-Identifier: GPL-3.0-or-later
"""Talks to the helper over its Unix socket, and starts a helper where none runs.

Standard library only, and little of it: every command that is not the launch path pays for these
imports. The protocol: one JSON object a line; a request `{"v", "id", "method", "params"}` is
answered by any number of `{"id", "progress"}` and then one `{"id", "result"}` or
`{"id", "error"}`.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time

from netjail import names
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing takes longer to import than a request takes
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

START_SECONDS = 30.0
"""How long a helper may take from fork to listening."""
GREET_SECONDS = 10.0
"""How long a helper may take to answer `hello`, which it does from memory."""
NEXT_SECONDS = 30.0
"""For how long to go from a helper that is ending to the next: one that takes over from another
waits until that has finished what it has begun."""
BUS_AGAIN_SECONDS = 0.3
"""What the bus's service may need after a crash before it can be started again."""
LOG_MAX = 1 << 20
"""A log longer than this is put aside (one generation) when the next helper starts."""
HELPER_PATH = (
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin"
)
"""The helper's PATH: never the caller's, which may name directories of an ordinary user."""

_TWICE = frozenset(
    {"hello", "list", "status", "ps", "plan", "graph", "doctor", "profile.get", "profile.check"}
    | {"up", "down", "port.list", "port.lent"}
)
"""Methods that may be asked of the next helper where nobody knows how far the last one came."""

_ANSWER_MAX = 64 << 20
_DESCRIPTORS_MAX = 8


class _GoneError(Exception):
    """The helper went away, or was never there: another try makes sense. `refusal`: what to say
    where it does not."""

    def __init__(self, reason: str, refusal: NetjailError | None = None) -> None:
        super().__init__(reason)
        self.refusal = refusal


class Client:
    """One connection. Not for several threads at once."""

    def __init__(self, sock: socket.socket, path: str | None = None) -> None:
        self._sock = sock
        self._path = path
        """Where to find the next helper if this one ends; None: nowhere."""
        self._buffer = bytearray()
        self._next_id = 0
        self._asked: bytes | None = None
        """A request, with id 1, that has been sent already."""
        self.ask_password = True
        """Whether somebody may be asked for a password."""
        self.prompting: Callable[[bool], None] = lambda _begins: None
        """Called when the terminal is about to be used for a password, and afterwards."""
        self.descriptors: list[int] | None = None
        """A list: put there what comes with the answers. None: nothing is to come."""
        self.helper: dict[str, Any] = {}
        """What `hello` said: version, protocol, pid."""

    def call(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> dict[str, Any]:
        """The result of one request. `progress` is given each sentence on what is waited for.

        A helper that is ending has done nothing of it: the next one is asked; once also where one
        went away without a word, if doing it twice is as good as once. Raises NetjailError: the
        helper's own, or no-helper where it went away meanwhile.
        """
        deadline = time.monotonic() + NEXT_SECONDS
        twice = method in _TWICE
        while True:
            try:
                return self._ask(method, params or {}, progress)
            except NetjailError as error:
                if error.code != "ending" or self._path is None or time.monotonic() > deadline:
                    raise
            except _GoneError as gone:
                if not twice or self._path is None:
                    raise _lost(method, gone) from None
                twice = False
            self._next_helper(self._path)

    def _next_helper(self, path: str) -> None:
        self._sock.close()
        time.sleep(0.05)  # it does not listen any more, or will not in a moment
        following = connect(path=path)
        self._sock, self._buffer = following._sock, following._buffer
        self._next_id, self._asked = following._next_id, None
        self.helper = following.helper

    def _ask(
        self, method: str, params: dict[str, Any], progress: Callable[[str], None] | None
    ) -> dict[str, Any]:
        try:
            return self._call(method, params, progress)
        except NetjailError as refused:
            if not refused.prompt or not self.ask_password:
                raise
            return self._call_with_agent(refused, method, params, progress)

    def _call_with_agent(
        self,
        refused: NetjailError,
        method: str,
        params: dict[str, Any],
        progress: Callable[[str], None] | None,
    ) -> dict[str, Any]:
        from netjail.agent import Agent  # for those without an agent of their session

        self.prompting(True)
        try:
            with Agent(refused):
                return self._call(method, params, progress)
        finally:
            self.prompting(False)

    def close(self) -> None:
        self._sock.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _call(
        self, method: str, params: dict[str, Any], progress: Callable[[str], None] | None
    ) -> dict[str, Any]:
        request = {"v": names.PROTOCOL, "id": self._next_id, "method": method, "params": params}
        if not self.ask_password:
            request["interactive"] = False
        asked, self._asked = self._asked, None
        if asked is None or json.loads(asked) != request:
            self._next_id = request["id"] = self._next_id + 1
            self._send(request)
        while True:
            answer = self._answer()
            # An error without an id concerns the connection as a whole.
            if answer.get("id") not in (self._next_id, None):
                continue
            if "error" in answer:
                error = NetjailError.from_dict(answer["error"])
                error.prompt = answer.get("prompt") is True
                raise error
            if "result" in answer:
                result: dict[str, Any] = answer["result"]
                return result
            if progress is not None and "progress" in answer:
                progress(str(answer["progress"]))

    def _send(self, request: dict[str, Any]) -> None:
        try:
            self._sock.sendall(json.dumps(request).encode() + b"\n")
        except TimeoutError:
            raise _GoneError("it takes no requests") from None
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may have said why before it closed: read on

    def _answer(self) -> dict[str, Any]:
        scanned = 0
        while (end := self._buffer.find(b"\n", scanned)) < 0:
            scanned = len(self._buffer)
            if scanned > _ANSWER_MAX:
                raise NetjailError("internal", "the helper sent an answer without an end")
            try:
                data = self._receive()
            except TimeoutError:
                raise _GoneError("it does not answer") from None
            except ConnectionResetError:
                raise _GoneError("connection reset") from None
            if not data:
                raise _GoneError("connection closed")
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise NetjailError("internal", "the helper sent something that is not an answer")
        return answer

    def _receive(self) -> bytes:
        if self.descriptors is None:
            return self._sock.recv(262144)
        data, fds, _, _ = socket.recv_fds(
            self._sock, 262144, _DESCRIPTORS_MAX, socket.MSG_CMSG_CLOEXEC
        )
        self.descriptors += fds
        return data

    def _greet(self) -> None:
        self._sock.settimeout(GREET_SECONDS)
        self.helper = self._call("hello", {}, None)
        self._sock.settimeout(None)
        if self.helper.get("protocol") != names.PROTOCOL:
            raise NetjailError(
                "no-helper",
                f"the running helper (netjail {self.helper.get('version')}) is of another version "
                "than this command",
                f"end it with `kill {self.helper.get('pid')}` and run the command again: what is "
                "up stays up, and the new helper takes it over",
            )


def _lost(method: str, gone: _GoneError) -> NetjailError:
    return NetjailError(
        "no-helper",
        f"the helper ended before it had answered {method!r} ({gone})",
        "run the command again: what was half done is then completed or undone; "
        f"the helper's log is {names.HELPER_LOG}",
    )


def resume(fd: int, line: bytes, received: bytes) -> Client:
    """A connection over which a request (`line`, id 1) has been sent already: the first call, if it
    is the same, only waits for the answer, of which `received` is the beginning."""
    client = Client(socket.socket(fileno=fd), names.SOCKET)
    client._sock.settimeout(None)
    client._buffer += received
    client._next_id = 1
    client._asked = line
    return client


def connect(start: bool = True, path: str = names.SOCKET) -> Client:
    """A connection to the helper, which is started if need be: by the system bus, where it is
    installed there, else by ourselves if we are root.

    Raises NetjailError: not-authorised (it serves root alone, or only root may start it), no-helper
    (none runs and `start` is false, or it cannot be started: the message says what was tried).
    """
    deadline = time.monotonic() + START_SECONDS
    bus_asked = path != names.SOCKET
    by_bus = False
    while True:
        try:
            client = _connect_once(path)
            if not start:
                client._path = None
            return client
        except _GoneError as gone:
            reason = gone
        if not start:
            raise reason.refusal or NetjailError("no-helper", f"the helper does not run ({reason})")
        if not bus_asked:
            bus_asked = True
            by_bus = _start_by_bus(reason)
            deadline = time.monotonic() + START_SECONDS
            if by_bus:
                continue
        if os.geteuid() != 0 and not by_bus:
            raise reason.refusal or _only_root()
        if time.monotonic() > deadline:
            raise NetjailError(
                "no-helper",
                f"the helper was started but cannot be reached at {path} ({reason})",
                "see what it says: systemctl status netjaild"
                if by_bus
                else f"its log is {names.HELPER_LOG}",
            )
        if by_bus:  # by then it listens, but may just have ended again
            time.sleep(0.1)
            by_bus = _start_by_bus(reason)
            continue
        _start(path)
        # The one that was told of may just be ending, or another's may still be on its way.
        try:
            return _connect_once(path)
        except _GoneError:
            time.sleep(0.02)


def _start_by_bus(gone: _GoneError) -> bool:
    """Whether the system bus has started the helper. Raises NetjailError where that is the only
    way and it fails."""
    from netjail import activation  # only where no helper runs

    try:
        try:
            activation.start_helper()
        except activation.ActivationError as error:
            if error.unavailable or "." not in error.name:
                raise
            time.sleep(BUS_AGAIN_SECONDS)  # the one before may just have crashed
            activation.start_helper()
    except activation.ActivationError as error:
        if os.geteuid() == 0:
            return False  # root has another way
        if error.unavailable:
            raise gone.refusal or _only_root() from None
        raise NetjailError(
            "no-helper",
            f"the helper could not be started: {error.message or error.name}",
            "see what it says: systemctl status netjaild",
        ) from None
    return True


def _only_root() -> NetjailError:
    return NetjailError(
        "not-authorised",
        "the helper does not run, and no system service is installed that would start it for you",
        "run the command as root: sudo netjail ..., or install the service: sudo netjail setup",
    )


def _connect_once(path: str) -> Client:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(GREET_SECONDS)
        sock.connect(path)
        client = Client(sock, path)
        client._greet()
    except (FileNotFoundError, ConnectionRefusedError, ConnectionResetError) as error:
        sock.close()
        raise _GoneError(os.strerror(error.errno or 0)) from None
    except NetjailError as error:
        sock.close()
        if error.code != "ending":
            raise
        raise _GoneError(error.message, error) from None
    except PermissionError:
        sock.close()
        refusal = NetjailError(
            "not-authorised",
            "the helper that runs serves root alone",
            "run the command as root: sudo netjail ...",
        )
        raise _GoneError("it serves root alone", refusal) from None
    except TimeoutError:
        sock.close()
        raise _GoneError("it takes no connections") from None
    except OSError as error:
        sock.close()
        raise NetjailError("no-helper", f"cannot connect to {path}: {error.strerror}") from None
    except BaseException:
        sock.close()
        raise
    return client


def _start(path: str) -> None:
    """Start a helper and wait until it listens (or has found that another one does)."""
    log, log_start = _open_log()
    try:
        ready, ready_child = os.pipe()
        # Out of the way of 0 to 2, which may all be closed in a caller without any stdio.
        ready_child = _above_stdio(ready_child)
        log = _above_stdio(log)
        pid = os.fork()
        if pid == 0:
            _become_helper(path, log, ready_child)
        os.close(ready_child)
        os.waitpid(pid, 0)
    finally:
        os.close(log)
    try:
        said = _wait_ready(ready)
    finally:
        os.close(ready)
    if said.startswith(b"{"):
        raise NetjailError.from_dict(json.loads(said))
    if not said:
        raise NetjailError(
            "no-helper",
            "the helper could not be started" + _log_tail(log_start),
            f"its whole log is {names.HELPER_LOG}",
        )


def _wait_ready(ready: int) -> bytes:
    """What the helper says on its ready descriptor; empty if it ended without a word."""
    deadline = time.monotonic() + START_SECONDS
    said = b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([ready], [], [], left)[0]:
            raise NetjailError(
                "no-helper",
                f"the helper did not get ready within {START_SECONDS:.0f} s",
                f"its log is {names.HELPER_LOG}",
            )
        data = os.read(ready, 65536)
        said += data
        if not data or said.endswith(b"\n"):
            return said


def _become_helper(path: str, log: int, ready: int) -> None:
    """In the forked child: a daemon of its own session, with nothing of the caller's. No return."""
    try:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        os.chdir("/")
        os.umask(0o022)
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.closerange(3, ready)
        os.closerange(ready + 1, os.sysconf("SC_OPEN_MAX"))
        os.set_inheritable(ready, True)
        main = os.path.join(os.path.dirname(os.path.abspath(__file__)), "daemon", "__main__.py")
        argv = [sys.executable, "-I", main, "--no-bus", "--ready-fd", str(ready)]
        if path != names.SOCKET:
            argv += ["--socket", path]
        env = {"PATH": HELPER_PATH, "LANG": "C.UTF-8"}
        os.execve(sys.executable, argv, env)  # noqa: S606 - no shell is the point
    except BaseException as error:
        try:
            problem = NetjailError("no-helper", f"the helper could not be started: {error}")
            os.write(ready, json.dumps(problem.as_dict()).encode() + b"\n")
        except OSError:
            pass
    finally:
        os._exit(127)


def _above_stdio(fd: int) -> int:
    low = []
    while fd <= 2:
        low.append(fd)
        fd = os.dup(fd)
    for each in low:
        os.close(each)
    return fd


def _open_log() -> tuple[int, int]:
    """The helper's log, open for appending, and its present length."""
    try:
        if not os.path.isdir(names.RUN_DIR):
            try:
                os.mkdir(names.RUN_DIR, 0o755)
            except FileExistsError:
                pass
            else:
                os.chmod(names.RUN_DIR, 0o755)  # noqa: S103 - whatever the caller's umask
        try:
            if os.stat(names.HELPER_LOG, follow_symlinks=False).st_size > LOG_MAX:
                os.rename(names.HELPER_LOG, names.HELPER_LOG + ".old")
        except FileNotFoundError:
            pass
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(names.HELPER_LOG, flags, 0o600)
        return fd, os.fstat(fd).st_size
    except OSError as error:
        raise NetjailError(
            "no-helper",
            f"the helper cannot be started: {error.filename}: {error.strerror}",
            "/run must be a writable file system (normally a tmpfs) with room in it",
        ) from None


def _log_tail(start: int) -> str:
    """The last lines the helper logged since `start`, to be appended to a message."""
    try:
        with open(names.HELPER_LOG, "rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(start, end - 2048))
            lines = log.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return "; its last words:\n  " + "\n  ".join(lines[-8:]) if lines else ""
