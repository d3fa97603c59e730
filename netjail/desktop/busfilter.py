# SPDX-License-Identifier: GPL-3.0-or-later
"""Between a program and the session bus: `[isolation] dbus = true` of a profile.

Stands in front of the program, inside and as its user: starts xdg-dbus-proxy, points
DBUS_SESSION_BUS_ADDRESS at it, and becomes the program, whose process it is from the beginning.
The proxy ends when the last process has closed the pipe that the program inherits.

What may pass is what makes no connections on the program's behalf: notifications, the keyring,
settings, accessibility, input methods, the panel's icons, and of the portals those that choose a
file, tell the look of the desktop or keep it awake. Not: opening addresses or files elsewhere
(OpenURI, FileManager1), starting programs (systemd, flatpak, D-Bus activation by name), network
file systems (gvfs), and whatever other program has a name on the bus.

It keeps programs from handing over by habit. One that means to may still open the bus's own
socket by its path.
"""

# Started by path: see netjail.daemon.__main__.
if not __package__:
    import os
    import sys

    _here = os.path.dirname(os.path.abspath(__file__))
    if sys.path and sys.path[0] == _here:
        del sys.path[0]
    sys.path.insert(0, os.path.dirname(os.path.dirname(_here)))
    import netjail  # noqa: F401

    del sys.path[0]

import base64
import os
import re
import select
import shutil
import socket
import sys
from collections.abc import Iterable

from netjail import names
from netjail.desktop import commands, flatpakview, running, sessionbus
from netjail.errors import NetjailError

TALK = (
    "org.freedesktop.Notifications",
    "org.freedesktop.secrets",
    "org.freedesktop.ScreenSaver",
    "org.freedesktop.IBus",
    "org.freedesktop.IBus.Panel",
    "org.freedesktop.portal.IBus",
    "org.freedesktop.portal.Fcitx",
    "org.fcitx.Fcitx5",
    "org.gnome.ScreenSaver",
    "org.gnome.SessionManager",
    "org.gnome.SettingsDaemon.MediaKeys",
    "org.kde.StatusNotifierWatcher",
    "org.kde.kwalletd5",
    "org.kde.kwalletd6",
    "org.kde.JobViewServer",
    "org.a11y.Bus",
    "ca.desrt.dconf",
    "com.canonical.AppMenu.Registrar",
    "com.canonical.Unity",
)
"""Names that may be called."""

PORTALS = (
    "Account",
    "Camera",
    "Documents",
    "FileChooser",
    "FileTransfer",
    "GlobalShortcuts",
    "Inhibit",
    "Notification",
    "Print",
    "RemoteDesktop",
    "Request",
    "ScreenCast",
    "Screenshot",
    "Secret",
    "Session",
    "Settings",
)
"""Interfaces org.freedesktop.portal.NAME that may be used. Not OpenURI, Email, DynamicLauncher,
Background and Flatpak, which start programs outside; nor ProxyResolver and NetworkMonitor, which
tell of the network outside."""

OWN = ("org.mpris.MediaPlayer2.*", "org.kde.StatusNotifierItem.*", "com.canonical.indicator.*")
"""Names that programs may take: to be seen by the panel, not to be called by another copy."""

_NAME_MAX = 255
SECONDS = 10.0
"""How long the proxy may take to listen."""


def arguments(bus: str, path: str, pipe: int, own: Iterable[str] = ()) -> list[str]:
    """The words for xdg-dbus-proxy(1), which serves `bus` at `path` until the other end of `pipe`
    is closed. `own`: names of the program's own."""
    words = [f"--fd={pipe}", bus, path, "--filter"]
    words += [f"--talk={name}" for name in TALK]
    words += [f"--own={name}" for name in (*OWN, *own)]
    portal = "org.freedesktop.portal"
    words += [f"--call={portal}.Desktop={portal}.{name}.*@/*" for name in PORTALS]
    words += [f"--call={portal}.Documents={portal}.Documents.*@/*"]
    words += [f"--call={portal}.Desktop=org.freedesktop.DBus.Properties.*@/*"]
    words += [f"--broadcast={portal}.Desktop=@/*"]
    return words


def names_of(argv: list[str]) -> set[str]:
    """The names on the bus that a program takes for itself: those of the catalogue, and the IDs
    of the desktop entries that start it, which D-Bus activatable applications are called by."""
    command = commands.recognise(argv)
    found = {command.app.bus} if command.app is not None and command.app.bus else set()
    if command.kind != "program":
        return found  # flatpak has a proxy of its own for its applications
    try:
        from netjail.desktop import entries, execline
    except ImportError:  # without pyxdg, only the catalogue
        return found
    for entry in entries.scan().entries:
        name = entry.id.removesuffix(entries.SUFFIX)
        if name.count(".") > 1 and execline.program(entry.exec) == command.name:
            found.add(name)
    return found


def remote_of(argv: list[str], others: Iterable[str]) -> set[str]:
    """The name by which a second start of a program finds the first, where the program makes it
    of its data directory (Mozilla's nsDBusRemoteClient). `others`: who has such names outside.

    A program asks for that of its own data only. Where it does not say which these are, it may
    take any, unless there is one outside: that might be the one.
    """
    command = commands.recognise(argv)
    if command.kind != "program" or command.app is None or not command.app.remote:
        return set()
    remote, others = command.app.remote, set(others)
    words = argv[command.at :]
    for number, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option in ("--profile", "-profile"):
            where = value if equals else "".join(words[number + 1 : number + 2])
            text = base64.b64encode(os.path.abspath(where).encode()).decode()
            name = f"{remote}.{re.sub('[^A-Za-z0-9]', '_', text)}"[:_NAME_MAX]
            return {name} - others
    return set() if others else {f"{remote}.*"}


def remotes_outside(argv: list[str]) -> set[str]:
    """Names of that kind that somebody has who is not in our jail."""
    app = commands.recognise(argv).app
    if app is None or not app.remote:
        return set()
    here = running.net_of(os.getpid())
    with sessionbus.SessionBus() as bus:
        owners = bus.owners(f"{app.remote}.*")
    return {name for name, pid in owners.items() if running.net_of(pid) != here}


def taken(own: Iterable[str]) -> bool:
    """Whether somebody outside of our jail has one of these names: a program that asks for it
    would become his messenger."""
    here = running.net_of(os.getpid())
    with sessionbus.SessionBus() as bus:
        pids = [pid for name in own for pid in bus.owners(name).values()]
    return any(running.net_of(pid) != here for pid in pids)


def start(own: Iterable[str]) -> str | None:
    """Start the proxy; the address at which it listens, None where there is no session bus.

    Raises OSError with the reason in its text where it cannot be started.
    """
    path = sessionbus.address()
    if path is None:
        return None
    program = shutil.which("xdg-dbus-proxy")
    if program is None:
        raise OSError("xdg-dbus-proxy is not installed (the package of that name)")
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    directory = os.path.join(runtime, "netjail")
    os.makedirs(directory, mode=0o700, exist_ok=True)
    _tidy(directory)
    served = os.path.join(directory, f"bus-{os.getpid()}")
    bus = f"unix:abstract={path[1:]}" if path.startswith("\0") else f"unix:path={path}"
    ready, pipe = os.pipe()  # the proxy writes a byte into its end as soon as it listens
    if _fork() == 0:
        try:
            os.close(ready)
            os.set_inheritable(pipe, True)
            null = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1):
                os.dup2(null, number)
            words = arguments(bus, served, pipe, own)
            os.execv(program, [program, *words])  # noqa: S606
        finally:
            os._exit(127)
    os.close(pipe)
    if not select.select([ready], [], [], SECONDS)[0] or not os.read(ready, 1):
        raise OSError("xdg-dbus-proxy did not start")
    os.set_inheritable(ready, True)  # its other end is closed for the proxy when all have ended
    return f"unix:path={served}"


def _fork() -> int:
    """0 in a process that is nobody's child: the program meets no stranger among its own."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return pid
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
    except OSError:
        os._exit(1)
    return 0


def _tidy(directory: str) -> None:
    """Remove sockets at which nobody listens any more."""
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            try:
                sock.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
            except OSError:
                pass


def main(words: list[str]) -> int:
    """`words`: the profile and the command. Does not return when all goes well."""
    profile, *argv = words
    try:
        if os.path.basename(argv[0]) == "dbus-run-session":
            return _become(argv)  # it has a bus of its own, which is more
        words = flatpakview.behind(argv)
        own = names_of(words)
        if sessionbus.address() is not None and taken(own):
            from netjail.desktop import apart

            return _become(apart.private_bus(argv, argv[0]))
        if sessionbus.address() is not None:
            own |= remote_of(words, remotes_outside(words))
        address = start(own)
    except (NetjailError, sessionbus.BusError) as error:
        _say(f"{profile} filters the session bus, which cannot be done: {error}")
        return names.EXIT_RUN_FAILED
    except OSError as error:
        why = str(error.args[0]) if len(error.args) == 1 else (error.strerror or "")
        _say(f"{profile} filters the session bus, which cannot be done: {why}")
        return names.EXIT_RUN_FAILED
    # Without a bus there must be none that the program finds by itself, either.
    os.environ["DBUS_SESSION_BUS_ADDRESS"] = address or "disabled:"
    return _become(argv)


def _become(argv: list[str]) -> int:
    try:
        os.execvp(argv[0], argv)  # noqa: S606
    except (FileNotFoundError, NotADirectoryError):
        _say(f"{argv[0]}: no such program")
        return names.EXIT_NOT_FOUND
    except OSError as error:
        _say(f"{argv[0]}: {error.strerror}")
        return names.EXIT_NOT_EXECUTABLE


def _say(text: str) -> None:
    sys.stderr.write(f"netjail: {text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
