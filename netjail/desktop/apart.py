# SPDX-License-Identifier: GPL-3.0-or-later
"""Before a launch: would the program hand its job to a copy that runs elsewhere? Then one of its
own, or the reason why not.

A copy is elsewhere if its network namespace is not the profile's; which processes and which owners
of bus names those are, `running` and `sessionbus` say. All is done as the user, with what is the
user's: it protects from the habits of programs, not from programs that want out.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from xdg import BaseDirectory

from netjail.desktop import catalogue, choices, commands, running, sessionbus
from netjail.desktop.catalogue import App
from netjail.desktop.commands import Command
from netjail.desktop.entries import SUFFIX, Entry
from netjail.errors import NetjailError

Way = Literal["apart", "share", "as-is"]
"""`apart`: data of its own for this profile; `share`: one for all profiles of netjail; `as-is`:
the command as it stands, whatever comes of it."""
Ask = Callable[[str], Way | None]
"""Asks which way, after a text; None: neither."""

SHARED = "shared"
"""Directory of the copy that all profiles share. No profile's: see `directory`."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A copy that runs elsewhere: its process, and where that is, in words."""

    pid: int
    place: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """`argv`: what to start. `app`: its habits, None where it is known to have none; then there
    is nothing to look at after the start either. `notes`: what the user should know."""

    argv: list[str]
    app: App | None = None
    flatpak: str = ""
    notes: tuple[tuple[str, str | None], ...] = ()
    elsewhere: tuple[Elsewhere, ...] = field(default=())


def prepare(
    argv: list[str],
    profile: str,
    way: Way | None = None,
    ask: Ask | None = None,
    entry: Entry | None = None,
) -> Prepared:
    """What to start for `argv` in `profile`, so that it stays there.

    `way`: what the user says on the command line; `ask`: for asking them, where there is
    somebody. Raises NetjailError("in-use") where it would open elsewhere and cannot be helped.
    """
    command = commands.recognise(argv)
    app = _habits(command, entry)
    notes = [_snap_note(command.name)] if command.kind == "snap" else []
    if app is None:
        if way in ("apart", "share"):
            raise NetjailError(
                "usage",
                f"netjail does not know what makes a second {command.name}",
                "Say it with the program's own options, and leave --apart and --share out.",
            )
        return Prepared(argv, None, notes=tuple(notes))
    flatpak = command.name if command.kind == "flatpak" else ""
    words = argv[command.at :]
    if way == "as-is" or app.says_own(words) or not commands.CONSOLE.isdisjoint(words):
        return Prepared(argv, app, flatpak, tuple(notes))
    found = _find(app, profile, flatpak)
    if "{dir}" in "".join(app.apart):
        made = _with_directory(argv, _Launch(command, app, profile), way, ask, found)
    elif app.apart:
        made = _insert(argv, command, app, "", profile), []
    else:
        made = _without(argv, app, command, found, way)
    new, more = made
    return Prepared(new, app, flatpak, (*notes, *more), tuple(found.elsewhere))


def _habits(command: Command, entry: Entry | None) -> App | None:
    app = command.app
    if app is None and entry is not None:
        app = catalogue.by_entry(entry.id)
        if app is None and entry.dbus_activatable and command.kind == "program":
            app = catalogue.of_bus_name(entry.id.removesuffix(SUFFIX), entry.name)
    return app


# what runs already


@dataclass(frozen=True, slots=True)
class _Found:
    """`elsewhere`: all that would get the job. `processes`: its copies that are not in the jail."""

    elsewhere: tuple[Elsewhere, ...]
    processes: tuple[running.Process, ...]


def _find(app: App, profile: str, flatpak: str) -> _Found:
    jail = running.jail(profile)
    outside = [
        p
        for p in running.copies(app, running.processes(), flatpak)
        if jail is None or p.net != jail
    ]
    if app.bus and not flatpak:
        try:
            with sessionbus.SessionBus() as bus:
                owners = bus.owners(app.bus)
            nets = {pid: running.net_of(pid) for pid in owners.values()}
            return _Found(
                tuple(
                    Elsewhere(pid, running.place(net))
                    for pid, net in nets.items()
                    if jail is None or net != jail
                ),
                tuple(outside),
            )
        except sessionbus.BusError:
            pass  # no bus, no habit; but perhaps the bus is one that the program finds otherwise
    # one with a directory of its own does not take what is meant for the usual one
    usual = [p for p in outside if not app.says_own(p.argv)]
    return _Found(tuple(Elsewhere(p.pid, running.place(p.net)) for p in usual), tuple(outside))


def _uses(process: running.Process, directory: str) -> bool:
    return any(
        word == directory or word.endswith(("=" + directory, "=file://" + directory))
        for word in process.argv
    )


# what to do about it


def directory(app: App, profile: str, command: Command | None = None) -> str:
    """Where a copy has its data. A flatpak and a snap see little of the home directory."""
    if command is not None and command.kind == "flatpak":
        base = os.path.expanduser(f"~/.var/app/{command.name}/data/netjail")
    elif command is not None and command.kind == "snap":
        base = os.path.expanduser(f"~/snap/{command.name}/common/netjail")
    else:
        base = os.path.join(BaseDirectory.xdg_data_home, "netjail", "apps", app.id)
    # profiles are below a directory of their own, so that one may be called like SHARED
    return os.path.join(base, SHARED if profile == "" else os.path.join("profiles", profile))


@dataclass(frozen=True, slots=True)
class _Launch:
    command: Command
    app: App
    profile: str


def _with_directory(
    argv: list[str], launch: _Launch, way: Way | None, ask: Ask | None, found: _Found
) -> tuple[list[str], list[tuple[str, str | None]]]:
    command, app, profile = launch.command, launch.app, launch.profile
    notes: list[tuple[str, str | None]] = []
    asked = way is not None
    own = directory(app, profile, command)
    if way is None:
        way = choices.recall(app.id, profile)  # type: ignore[assignment]
    if way is None and os.path.isdir(own):
        way = "apart"  # where its bookmarks are by now
    if way is None:
        if not found.elsewhere:
            return argv, notes
        where = found.elsewhere[0].place
        if ask is not None:
            way = ask(f"{app.name} runs {where} already, and would open there.")
            if way is None:
                raise _refused(app, profile, found)
            if way == "as-is":
                return argv, notes
            asked = True
        else:
            way = "apart"
            notes.append(
                (
                    f"{app.name} runs {where} already: this is a second one, with data of its own",
                    f"They are in {own}.",
                )
            )
    if asked:
        try:
            choices.remember(app.id, profile, way)
        except OSError as error:
            notes.append((f"your choice cannot be kept: {error.strerror}", None))
    target = own if way == "apart" else directory(app, "", command)
    for process in found.processes:
        if _uses(process, target):
            raise NetjailError(
                "in-use",
                f"a {app.name} with the same data runs {running.place(process.net)} "
                f"(process {process.pid}), and would open the window there",
                f"Close it first, or take data for {profile} alone: `netjail run --apart ...`.",
            )
    _make(target)
    return _insert(argv, command, app, target, profile), notes


def _make(path: str) -> None:
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as error:
        raise NetjailError(
            "system", f"the directory {path} cannot be made: {error.strerror}"
        ) from None


def _insert(argv: list[str], command: Command, app: App, target: str, profile: str) -> list[str]:
    words = [word.format(dir=target, profile=profile) for word in app.apart]
    return [*argv[: command.at], *words, *argv[command.at :]]


def _without(
    argv: list[str], app: App, command: Command, found: _Found, way: Way | None
) -> tuple[list[str], list[tuple[str, str | None]]]:
    """For programs that no word of their own sets apart."""
    wanted = way in ("apart", "share")
    if app.finds != "bus":
        if found.elsewhere:
            raise _refused(app, "", found)
        if wanted:
            raise NetjailError("usage", f"there is no way to have a second {app.name}", app.why)
        return argv, []
    if not (found.elsewhere or app.activated or wanted):
        return argv, []
    if command.kind == "flatpak":
        raise _refused(app, "", found)
    stays = [word for word in app.stay if word not in argv]
    return private_bus([*argv[: command.at], *stays, *argv[command.at :]], app.name), []


def private_bus(argv: list[str], name: str) -> list[str]:
    """The same on a session bus of its own, inside: what it asks for there is started inside."""
    runner = shutil.which("dbus-run-session")
    if runner is None:
        raise NetjailError(
            "missing-program",
            f"{name} would open outside, and for a session bus of its own there is no "
            "dbus-run-session",
            "Install it: on Debian the package dbus-daemon or dbus.",
        )
    return [runner, "--", *argv]


def _refused(app: App, profile: str, found: _Found) -> NetjailError:
    where = found.elsewhere[0]
    hint = app.why or f"Close it first; or `netjail run --apart {profile or 'PROFILE'} ...`."
    return NetjailError(
        "in-use",
        f"{app.name} runs {where.place} already (process {where.pid}), and would open there",
        hint,
    )


def _snap_note(name: str) -> tuple[str, str | None]:
    return (
        f"{name} is a snap: it gets the network of the profile, but snapd gives it a view of /etc "
        "that may be the host's, so that names may not be resolved",
        "The program from your distribution, or as a flatpak, has the whole profile.",
    )
