# SPDX-License-Identifier: GPL-3.0-or-later
"""netjaild: the process. Options, the lock, signals, and when to end."""

# Started by path (python3 -I .../daemon/__main__.py) the package may not be importable, or another
# netjail than the one this file belongs to may be. This one must win, without a directory that
# holds more than netjail staying on the path before the standard library.
if not __package__:
    import os
    import sys

    _here = os.path.dirname(os.path.abspath(__file__))
    if sys.path and sys.path[0] == _here:
        del sys.path[0]
    sys.path.insert(0, os.path.dirname(os.path.dirname(_here)))
    import netjail

    del sys.path[0]

import argparse
import fcntl
import json
import os
import resource
import signal
import socket
import sys
import time

import netjail
from netjail import names
from netjail.daemon import cleanup, log
from netjail.daemon.loop import Loop, Timer
from netjail.daemon.manager import Manager
from netjail.daemon.rooms import RealRooms
from netjail.daemon.socket_face import SocketFace, make_directory
from netjail.errors import NetjailError
from netjail.launch import trust

IDLE_SECONDS = 10.0
"""With nothing up and nobody connected for this long the helper ends."""
FINISH_SECONDS = 20.0
"""On SIGTERM: how long running operations may take to finish."""
LOCK_SECONDS = 9.0
"""How long to wait for another helper to be reachable or gone."""
_FILES = 65536


def main(argv: list[str] | None = None) -> int:
    """Run the helper. Exit status: 0 ended as it should (or another one runs), 1 cannot run."""
    options = _parser().parse_args(argv)
    log.set_level(options.log_level)
    ready = _Ready(options.ready_fd)
    try:
        if options.cleanup:
            _require_root()
            _clean_process()
            return cleanup.run(RealRooms(), options.socket)
        _judge_code(refuse=not (options.no_bus or options.allow_unsafe_code))
        if not options.no_bus:
            raise NetjailError(
                "not-yet",
                "the helper cannot serve a system bus yet",
                "netjaild --no-bus serves root over the socket",
            )
        _require_root()
        _clean_process()
        make_directory(names.RUN_DIR)
        if _lock(options.socket) is None:
            ready.tell(None)
            return 0
        _Helper(options.socket, options.idle_timeout, ready).run()
        return 0
    except NetjailError as error:
        ready.tell(error)
        problems = "".join(f"\n- {problem}" for problem in error.problems)
        log.error(f"{error}{problems}" + (f"\n{error.hint}" if error.hint else ""))
        return 1
    except Exception as error:
        log.crash("in netjaild")
        ready.tell(NetjailError("internal", f"a bug in netjail: the helper failed: {error}"))
        return 1


def _require_root() -> None:
    if os.geteuid() != 0:
        raise NetjailError(
            "not-authorised", "the helper runs as root only", "sudo netjaild --no-bus"
        )


def _judge_code(refuse: bool) -> None:
    """Where ordinary users are served, code that they could change is not run. In --no-bus root
    itself has started this code, from a checkout perhaps, and is told."""
    try:
        trust.check_code()
    except NetjailError as error:
        if refuse:
            raise
        log.warning(f"{error}: " + "; ".join(error.problems))


class _Helper:
    def __init__(self, path: str, idle_seconds: float, ready: "_Ready") -> None:
        self._idle_seconds = idle_seconds
        self._ready = ready
        self._loop = Loop()
        self._manager = Manager(self._loop, RealRooms())
        self._face = SocketFace(self._loop, self._manager, path)
        self._manager.quiet_changed = self._face.clients_changed = self._reconsider
        self._idle: Timer | None = None
        self._ending = False
        self._deadline = 0.0

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._loop.on_signal(number, self._end)
        self._face.listen()
        self._ready.tell(None)
        log.info(f"netjaild {netjail.__version__} serves root, pid {os.getpid()}")
        self._manager.start()
        self._loop.run()
        self._face.close()
        log.info("netjaild ends; what is up stays up")

    def _reconsider(self) -> None:
        """Begin to count, or stop counting, how long the helper has not been needed."""
        needed = self._ending or self._face.clients > 0 or not self._manager.quiet
        if needed and self._idle is not None:
            self._idle.cancel()
            self._idle = None
        elif not needed and self._idle is None:
            self._idle = self._loop.call_later(self._idle_seconds, self._end_idle)

    def _end_idle(self) -> None:
        self._idle = None
        # Whoever has connected a moment ago is served; who comes after the socket is gone starts
        # another helper.
        if self._face.waiting():
            return
        self._face.stop_listening()
        self._loop.stop()

    def _end(self) -> None:
        if self._ending:  # asked twice: at once, then
            self._loop.stop()
            return
        self._ending = True
        log.info("asked to end")
        self._deadline = time.monotonic() + FINISH_SECONDS
        self._face.stop_listening()
        self._manager.end()
        self._end_when_done()

    def _end_when_done(self) -> None:
        if self._manager.busy and time.monotonic() < self._deadline:
            self._loop.call_later(0.05, self._end_when_done)
        else:
            self._loop.call_later(0.05, self._loop.stop)  # the last answers are on their way


class _Ready:
    """Tells whoever started us, once, that we listen (an empty line) or why not (an error)."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        if fd is not None:
            try:
                os.set_inheritable(fd, False)
            except OSError:
                self._fd = None

    def tell(self, error: NetjailError | None) -> None:
        if self._fd is None:
            return
        text = json.dumps(error.as_dict()) if error is not None else ""
        try:
            os.write(self._fd, text.encode() + b"\n")
            os.close(self._fd)
        except OSError:
            pass  # it has given up waiting
        self._fd = None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="netjaild", description="The root helper of netjail. Started on demand by netjail."
    )
    parser.add_argument("--version", action="version", version=f"netjaild {netjail.__version__}")
    parser.add_argument(
        "--no-bus", action="store_true", help="serve root over the socket; end when not needed"
    )
    parser.add_argument(
        "--cleanup",
        action="store_true",
        help="remove what a helper that was killed has left behind and nobody can use, and end; "
        "what is up stays up",
    )
    parser.add_argument(
        "--allow-unsafe-code",
        action="store_true",
        help="serve the bus although others than root can change the code (for developers)",
    )
    parser.add_argument(
        "--idle-timeout",
        type=float,
        default=IDLE_SECONDS,
        metavar="SECONDS",
        help="end after so long with nothing up and nobody connected (%(default)g)",
    )
    parser.add_argument("--log-level", choices=log.LEVELS, default="info")
    parser.add_argument("--socket", default=names.SOCKET, help=argparse.SUPPRESS)
    parser.add_argument("--ready-fd", type=int, metavar="N", help=argparse.SUPPRESS)
    return parser


def _clean_process() -> None:
    """Undo what may have been inherited: directory, umask, signals; and raise the file limit."""
    os.chdir("/")
    os.umask(0o022)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _lock(path: str) -> int | None:
    """Become the one helper; None if another one is and can be reached at `path`.

    The lock is held as long as the process lives. Another helper may just be starting (its socket
    is not there yet) or ending (it is there no more): both take a moment. Raises NetjailError.
    """
    try:
        fd = os.open(
            names.HELPER_LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
    except OSError as error:
        raise NetjailError("system", f"cannot open {names.HELPER_LOCK}: {error.strerror}") from None
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            pass
        if _reachable(path):
            os.close(fd)
            return None
        if time.monotonic() > deadline:
            raise NetjailError(
                "no-helper",
                "another helper is running but does not listen; it may be finishing an operation",
                f"see {names.HELPER_LOG}, and try again",
            )
        time.sleep(0.01)


def _reachable(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(1.0)
        try:
            sock.connect(path)
        except OSError:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
