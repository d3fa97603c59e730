# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of the provider's: the driver of the process that borrows one (`ports.borrower`), and what
it says made known.

It outlives the helper. What it says stands in a file that root has opened for it; a helper that
comes later reads on there. Nothing of it is believed that is not of the right form.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from typing import Any

import netjail.ports
from netjail import names
from netjail.engine import files, ns, portset, process
from netjail.engine.context import Context
from netjail.engine.process import Process
from netjail.engine.record import Record
from netjail.errors import NetjailError
from netjail.uplinks.wanted_ports import BorrowedPort

NAME = "natpmp"
"""What the process is called in records and logs."""
_USERS = 0x70800000
"""First of the numbers of users that they run as, beside those of forwarders (`portset`)."""
_FILE_MAX = 1 << 20
"""Bytes that it may write at most into its file, or its log;"""
_TRIM = 1 << 16
"""from so many on the log is emptied."""
_STATE_MAX = 4096
_publishing = threading.Lock()
_TEXT_MAX = 200


@dataclass(frozen=True, slots=True)
class Lent:
    """What the provider lends. `port` None: nothing, and `text` says why. `internal`: where it
    leads to; `address`: the provider's, outside; `spoken`: NAT-PMP or PCP."""

    port: int | None = None
    internal: int | None = None
    protocols: tuple[str, ...] = ()
    address: str | None = None
    gateway: str | None = None
    spoken: str | None = None
    text: str | None = None
    restarts: int = 0

    def as_dict(self) -> dict[str, Any]:
        """As it stands in answers."""
        data = asdict(self)
        del data["restarts"]
        return {**data, "protocols": list(self.protocols)}


NOTHING = Lent(text="it has not been asked for yet")


def state_file(profile: str) -> str:
    """Where the process says how things are."""
    return f"{names.jail_dir(profile)}/{NAME}.state"


def _argv(wanted: BorrowedPort) -> list[str]:
    directory = os.path.dirname(os.path.abspath(netjail.ports.__file__))
    resolvers = f"{names.view_dir(wanted.profile)}/dns/resolv.conf"
    words = [wanted.profile, wanted.gateway or "-", str(wanted.port), resolvers]
    return [sys.executable, "-I", "-S", os.path.join(directory, "borrower.py"), *words]


def _confined(wanted: BorrowedPort) -> list[str]:
    user = portset.user_of(wanted.profile, _USERS)
    return [
        *("prlimit", f"--fsize={_FILE_MAX}", "--nofile=64", "--core=0"),
        *(process.program("setpriv"), f"--reuid={user}", f"--regid={user}", "--clear-groups"),
        *("--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"),
        *_argv(wanted),
    ]


def present(wanted: BorrowedPort, context: Context) -> bool:
    """Whether it runs, and writes to the file that we read."""
    running = context.record.process(NAME)
    if running is None or not running.alive():
        return False
    try:
        return os.path.samestat(
            os.stat(f"/proc/{running.pid}/fd/1"), os.stat(state_file(wanted.profile))
        )
    except OSError:
        return False


def apply(wanted: BorrowedPort, context: Context) -> None:
    """Start it, where the last one has left off. Raises NetjailError."""
    _stop(wanted, context)
    path = state_file(wanted.profile)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o600)
    except OSError as error:
        raise files.cannot("write", path, error) from error
    try:
        with ns.inside_named(wanted.netns):
            started = process.start(NAME, _confined(wanted), context.log(NAME), stdout=fd)
    finally:
        os.close(fd)
    context.remember(started)


def undo(wanted: BorrowedPort, context: Context) -> None:
    """Have the port given back, and end it. Idempotent."""
    _stop(wanted, context)
    files.remove(port_file(wanted.profile))
    if not context.again:
        files.remove(state_file(wanted.profile))


def poke(found: Record) -> None:
    """Have it ask now: the server may be another one. By a signal that does nothing to one which
    has just been started and is not ready for it."""
    running = found.process(NAME)
    if running is not None and running.alive():
        try:
            os.kill(running.pid, signal.SIGURG)
        except ProcessLookupError:
            pass


def _stop(wanted: BorrowedPort, context: Context) -> None:
    running = context.record.process(NAME) or _unrecorded(wanted)
    if running is not None:
        process.stop(running)
        context.forget(NAME)


def _unrecorded(wanted: BorrowedPort) -> Process | None:
    argv = _argv(wanted)
    user = portset.user_of(wanted.profile, _USERS)
    return process.find([os.path.basename(argv[0]), *argv[1:]], NAME, user)


# What it says ----------------------------------------------------------------------------------


def port_file(profile: str) -> str:
    """World-readable, inside as outside: the port, while there is one."""
    return names.port_file(profile)


def read(profile: str) -> Lent:
    """How things are."""
    try:
        with open(state_file(profile), "rb") as file:
            return _judge(json.loads(file.read(_STATE_MAX)))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return NOTHING  # the last two: an infinite number, brackets in brackets


def _judge(data: dict[str, Any]) -> Lent:
    """Raises KeyError, TypeError, ValueError for what is not of the form."""
    text = data["text"]
    if text is not None:
        text = "".join(c if c.isprintable() else "?" for c in str(text)[:_TEXT_MAX])
    restarts = int(data["restarts"])
    if data["port"] is None:
        return Lent(text=text, restarts=restarts)
    protocols = tuple(name for name in ("tcp", "udp") if name in data["protocols"])
    if data["spoken"] not in ("NAT-PMP", "PCP") or not protocols:
        raise ValueError
    address = data["address"]
    return Lent(
        port=_port(data["port"]),
        internal=_port(data["internal"]),
        protocols=protocols,
        address=None if address is None else _address(address),
        gateway=_address(data["gateway"]),
        spoken=data["spoken"],
        text=text,
        restarts=restarts,
    )


def _address(value: Any) -> str:
    """As ip_address() has it, but that the zone of an IPv6 address may hold any character."""
    if type(value) is not str or not all(c.isalnum() or c in ".:%-_" for c in value):
        raise ValueError(value)
    return str(ip_address(value))


def _port(value: Any) -> int:
    if type(value) is not int or not 0 < value < 1 << 16:
        raise ValueError(value)
    return value


def publish(profile: str, log: str) -> Lent:
    """Put the port where programs find it, and say how things are. On any thread. That it cannot
    be written, as on a full disk or while the jail goes, is nobody's end."""
    with _publishing:  # two that write the same file would take it away under each other
        lent = read(profile)
        try:
            _show(port_file(profile), None if lent.port is None else f"{lent.port}\n")
        except NetjailError as error:
            print(f"{profile}: {error}", file=sys.stderr)
    _shorten(log)
    return lent


def _show(path: str, text: str | None) -> None:
    try:
        with open(path, encoding="ascii") as file:
            shown: str | None = file.read()
    except (OSError, ValueError):
        shown = None
    if text is None:
        files.remove(path)
    elif shown != text:
        files.write(path, text)


def _shorten(log: str) -> None:
    try:
        if os.stat(log).st_size > _TRIM:
            os.truncate(log, 0)
    except OSError:
        pass


def sentence(before: Lent, lent: Lent) -> str | None:
    """What has happened, for people; None: nothing."""
    if lent.port is None:
        if lent.text == before.text and before.port is None:
            return None
        gone = "" if before.port is None else f"port {before.port} of the provider's is lost: "
        return f"{gone}{lent.text}" if gone else f"no port of the provider's: {lent.text}"
    where = "" if lent.address is None else f" of {lent.address}"
    to = "" if lent.internal == lent.port else f", which leads to port {lent.internal} here"
    only = "" if len(lent.protocols) > 1 else f" for {lent.protocols[0].upper()} alone"
    if (lent.port, lent.internal, lent.protocols) != (
        before.port,
        before.internal,
        before.protocols,
    ) or lent.address != before.address:
        return f"the provider lends port {lent.port}{where}{only}{to} ({lent.spoken})"
    if lent.restarts != before.restarts:
        return f"{lent.gateway} has begun anew; it lends port {lent.port}{where} again"
    return None


def wait(profile: str, log: str, seconds: float) -> Lent:
    """Until there is one, or time is up; made known by then."""
    end = time.monotonic() + seconds
    pause = 0.01
    while read(profile).port is None and time.monotonic() + pause < end:
        time.sleep(pause)
        pause = min(pause * 1.3, 0.1)
    return publish(profile, log)
