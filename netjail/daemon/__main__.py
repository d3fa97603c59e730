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
import json
import os
import resource
import signal
import sys
import time

import netjail
from netjail import names
from netjail.daemon import cleanup, log, only
from netjail.daemon.autostart import Autostart
from netjail.daemon.directory import make_directory
from netjail.daemon.home import Home
from netjail.daemon.loop import Loop, Timer
from netjail.daemon.manager import Manager
from netjail.daemon.rooms import RealRooms, libraries
from netjail.daemon.socket_face import SocketFace
from netjail.errors import NetjailError
from netjail.launch import trust

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netjail.daemon.bus import BusFace
    from netjail.daemon.bus_adapter import GLibLoop

IDLE_SECONDS = 10.0
"""With nothing up and nobody connected for this long the helper ends."""
FINISH_SECONDS = 20.0
"""On SIGTERM: how long running operations may take to finish."""
ACTIVATED_IDLE_SECONDS = 60.0
"""The same for a helper that the bus has started because somebody called."""
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
        _require_root()
        _clean_process()
        make_directory(names.RUN_DIR)
        lock = only.lock(options.socket, not options.no_bus)
        if lock is None:
            ready.tell(None)
            return 0
        helper = _Helper(options.socket, _idle_seconds(options), ready, not options.no_bus)
        return helper.run(lock)
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


def _idle_seconds(options: argparse.Namespace) -> float | None:
    """None: the helper stays whether it is needed or not."""
    if options.idle_timeout is not None:
        return float(options.idle_timeout)
    if options.no_bus:
        return IDLE_SECONDS
    # Under systemd it is a service like any other, which is there when it is called.
    return ACTIVATED_IDLE_SECONDS if "DBUS_STARTER_BUS_TYPE" in os.environ else None


class _Helper:
    def __init__(
        self, path: str, idle_seconds: float | None, ready: "_Ready", with_bus: bool
    ) -> None:
        self._idle_seconds = idle_seconds
        self._rooms = RealRooms()
        self._ready = ready
        self._loop = Loop()
        self._bus: BusFace | None = None
        self._carrier: GLibLoop | None = None
        if with_bus:
            # Only here: without a bus, gi and pydbus need not be installed, nor cost their time.
            with libraries():
                from netjail.daemon import bus, bus_adapter, polkit

            self._carrier = bus_adapter.GLibLoop(self._loop)
            system = bus_adapter.SystemBus(self._bus_gone)
            gate = polkit.Polkit(system.connection)
            self._manager = Manager(self._loop, self._rooms, gate=gate, bus=True)
            self._bus = bus.BusFace(self._loop, self._manager, system)
            self._bus.used = self._used
            system.on_sleep(self._manager.keeper.wake.sleeping)
            self._face = SocketFace(self._loop, self._manager, path, uids=None)
        else:
            self._manager = Manager(self._loop, self._rooms)
            self._face = SocketFace(self._loop, self._manager, path)
        self._manager.quiet_changed = self._face.clients_changed = self._reconsider
        self._idle: Timer | None = None
        self._ending = False
        self._failed: NetjailError | None = None
        self._deadline = 0.0

    def run(self, lock: int) -> int:
        """Until it is told to end or not needed any more. Returns the exit status.

        `lock`: the open lock file, which is ours from here on.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._loop.on_signal(number, self._end)
        self._face.listen()
        Home(self._loop, self._face, lock, self._manager.renew)
        if self._bus is not None:
            self._bus.start(self._on_bus)
            self._autostart()
        else:
            self._ready.tell(None)
            log.info(f"netjaild {netjail.__version__} serves root, pid {os.getpid()}")
        self._manager.spawning.start()
        self._manager.start()
        if self._carrier is not None:
            self._carrier.run()
        else:
            self._loop.run()
        self._face.close()
        if self._bus is not None:
            self._bus.close()
        if self._carrier is not None:
            self._carrier.close()
        if self._failed is not None:
            raise self._failed
        log.info("netjaild ends; what is up stays up")
        return 0

    def _autostart(self) -> None:
        """The system's helper, and not one that root has called for something, starts at boot."""
        starting = Autostart(self._loop, self._manager, self._rooms)
        told = self._manager.adopted

        def adopted() -> None:
            told()
            starting.begin()

        self._manager.adopted = adopted

    def _on_bus(self, error: NetjailError | None) -> None:
        if error is not None:
            self._fail(error)
            return
        self._ready.tell(None)
        log.info(f"netjaild {netjail.__version__} serves the system bus, pid {os.getpid()}")

    def _bus_gone(self) -> None:
        if not self._ending:
            self._fail(NetjailError("no-helper", "the system bus has gone"))

    def _fail(self, error: NetjailError) -> None:
        """End with an error, so that whoever watches starts another helper."""
        self._failed = self._failed or error
        if not self._ending:
            self._end()

    def _used(self) -> None:
        """Somebody has called on the bus, where there are no connections to be counted."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        self._reconsider()

    def _reconsider(self) -> None:
        """Begin to count, or stop counting, how long the helper has not been needed."""
        if self._idle_seconds is None:
            return
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
        if self._bus is not None:
            self._ending = True
            self._bus.stop_listening()
            # Calls that were on their way to the name are in by now, and are answered.
            self._deadline = time.monotonic() + FINISH_SECONDS
            self._loop.call_soon(self._end_when_done)
        else:
            self._loop.stop()

    def _end(self) -> None:
        if self._ending:  # asked twice: at once, then
            self._loop.stop()
            return
        self._ending = True
        log.info("asked to end")
        self._deadline = time.monotonic() + FINISH_SECONDS
        self._face.stop_listening()
        if self._bus is not None:
            self._bus.stop_listening()
        self._manager.end()
        self._end_when_done()

    def _end_when_done(self) -> None:
        busy = self._manager.busy or (self._bus is not None and self._bus.busy)
        if busy and time.monotonic() < self._deadline:
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
        metavar="SECONDS",
        help="end after so long with nothing up and nobody connected (default: with --no-bus "
        f"{IDLE_SECONDS:g}, started by the bus {ACTIVATED_IDLE_SECONDS:g}, else never)",
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


if __name__ == "__main__":
    sys.exit(main())
