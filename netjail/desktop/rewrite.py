# SPDX-License-Identifier: GPL-3.0-or-later
"""A desktop entry made to start in a profile. Pure: text in, text out.

Each Exec line keeps its own words, quoting and field codes to the letter and gets `netjail run
--notify PROFILE --` in front: nothing is parsed that need not be, so nothing can be lost in it.
Facts: Desktop Entry Specification 1.5.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from netjail.desktop.keyfile import KeyFile, split_list
from netjail.errors import NetjailError

MAIN = "Desktop Entry"
ACTION = "Desktop Action "
MARK = "X-Netjail-Profile"
"""Key in each entry that we write: the profile that it starts in."""

_OURS = re.compile(
    r'(?:"(?:[^"\\]|\\\\?.)*netjail"|\S*netjail) run --notify '
    r"(?P<profile>[a-z0-9][a-z0-9_-]{0,30}) -- (?P<rest>.*)",
    re.DOTALL,
)
_SAFE = re.compile(r"[A-Za-z0-9_@+=:,./-]+")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=\S*")
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s"\'\\`$<>~|&;*?#()%]+)(?=\s|$)')

CLASS_OPTIONS = {
    **dict.fromkeys(("firefox", "firefox-esr", "librewolf", "thunderbird"), "--class {}"),
    **dict.fromkeys(
        (
            "chromium",
            "chromium-browser",
            "google-chrome",
            "google-chrome-stable",
            "brave-browser",
            "microsoft-edge",
            "vivaldi",
            "vivaldi-stable",
        ),
        "--class={}",
    ),
}
"""Programs that give their windows the class one tells them, and how to tell them: only for these
can a dock tell the windows of two launchers apart."""


def quote(argument: str) -> str:
    """One argument as an Exec line has it, the escapes of a string value included."""
    escaped = argument.replace("%", "%%")
    if not _SAFE.fullmatch(argument):
        escaped = '"' + re.sub(r'(["`$\\])', r"\\\1", escaped) + '"'
    return escaped.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")


def wrap(line: str, profile: str, netjail: str = "netjail") -> str:
    """An Exec line that starts in `profile` what `line` starts. `netjail`: name or path of the
    program."""
    return f"{quote(netjail)} run --notify {profile} -- {unwrap(line)[1]}"


def unwrap(line: str) -> tuple[str | None, str]:
    """The profile of an Exec line of ours (None: it is not ours), and the line it was made of."""
    profile = None
    if " run --notify " not in line:  # the many of a whole desktop
        return None, line
    while match := _OURS.fullmatch(line):
        profile, line = profile or match["profile"], match["rest"]
    return profile, line


def program(line: str) -> str | None:
    """The program that an Exec line starts, as TryExec wants it; None where that cannot be told.

    Looks through `env NAME=VALUE`.
    """
    rest = unwrap(line)[1].lstrip()
    environment = False
    while match := _WORD.match(rest):
        word = match[2] if match[1] is None else re.sub(r"\\\\(.)", r"\1", match[1])
        if not environment and os.path.basename(word) == "env":
            environment = True
        elif environment and word.startswith("-"):
            return None
        elif not (environment and _ASSIGNMENT.fullmatch(word)):
            return word or None
        rest = rest[match.end() :].lstrip()
    return None


@dataclass(frozen=True, slots=True)
class Bus:
    """How the session bus starts an application: its name there, and the Exec line of the
    service file, as a desktop entry has it."""

    name: str
    exec: str


def pinned(source: bytes, profile: str, netjail: str = "netjail", bus: Bus | None = None) -> bytes:
    """The same entry, starting in `profile`.

    `bus`: for an entry without Exec, which is started over the session bus only. Raises
    `no-such-application`.
    """
    file = _entry(source)
    _give_exec(file, bus, keep_actions=True)
    _rewrite(file, profile, netjail)
    return file.data()


def added(  # noqa: PLR0917
    source: bytes,
    profile: str,
    identifier: str,
    icon: str | None = None,
    netjail: str = "netjail",
    bus: Bus | None = None,
) -> bytes:
    """An entry of its own beside the other: another name, in every language, and another icon.

    `identifier`: its desktop file ID without ".desktop". Raises `no-such-application`.
    """
    file = _entry(source)
    _give_exec(file, bus, keep_actions=False)
    for key, value in file.items(MAIN).items():
        if key == "Name" or key.startswith("Name["):
            file.set(MAIN, key, f"{value} ({profile})")
        elif icon is not None and key.startswith("Icon["):
            file.remove(MAIN, key)
    if icon is not None:
        file.set(MAIN, "Icon", icon)
    option = CLASS_OPTIONS.get(os.path.basename(program(file.get(MAIN, "Exec") or "") or ""))
    if option is not None:
        for group in _with_exec(file):
            line = unwrap(file.get(group, "Exec") or "")[1]
            first, space, rest = line.partition(" ")
            if os.path.basename(first) in CLASS_OPTIONS:
                classed = f"{first} {option.format(identifier)}{space}{rest}"
                file.set(group, "Exec", classed)
        file.set(MAIN, "StartupWMClass", identifier)
    _rewrite(file, profile, netjail)
    return file.data()


def service(source: bytes, profile: str, netjail: str = "netjail") -> bytes:
    """A D-Bus service file whose program starts in `profile`.

    SystemdService goes: systemd would start the unit of that name, which knows of no profile.
    """
    file = KeyFile(source)
    line = file.get("D-BUS Service", "Exec")
    if line is None:
        raise _unsuitable("the D-Bus service file has no Exec")
    # One shell-like line, not an Exec of the other kind: a name that needs no quoting, or quotes.
    name = netjail if _SAFE.fullmatch(netjail) else "'" + netjail.replace("'", "'\\''") + "'"
    while match := _OURS.fullmatch(line):
        line = match["rest"]
    file.set("D-BUS Service", "Exec", f"{name} run --notify {profile} -- {line}")
    file.remove("D-BUS Service", "SystemdService")
    return file.data()


def mark_of(data: bytes) -> str | None:
    """The profile of an entry of ours as it stands: marked, and still starting there."""
    file = KeyFile(data)
    profile = unwrap(file.get(MAIN, "Exec") or "")[0]
    return profile if profile is not None and file.get(MAIN, MARK) == profile else None


def merge(base: bytes, changed: bytes, fresh: bytes) -> bytes:
    """`fresh`, with the keys that somebody changed between `base` and `changed`.

    Exec, TryExec, DBusActivatable and our mark are never taken from there unless the line still
    is one of ours: an entry that is pinned must not lose its profile by a merge.
    """
    before, after, result = KeyFile(base), KeyFile(changed), KeyFile(fresh)
    profile = result.get(MAIN, MARK)
    for group in after.groups():
        if group not in result.groups() and group in before.groups():
            continue  # gone upstream
        old, new = before.items(group), after.items(group)
        for key, value in new.items():
            if old.get(key) == value or key in ("DBusActivatable", MARK):
                continue
            if key == "Exec" and unwrap(value)[0] != profile:
                continue
            result.set(group, key, value)
        for key in old.keys() - new.keys():
            if key not in ("Exec", "DBusActivatable", MARK, "Type", "Name"):
                result.remove(group, key)
    return result.data()


def _entry(source: bytes) -> KeyFile:
    file = KeyFile(source)
    kind = file.get(MAIN, "Type")
    if kind != "Application":
        raise _unsuitable(f"its Type is {kind}" if kind else "it is no desktop entry")
    return file


def _with_exec(file: KeyFile) -> list[str]:
    return [group for group in file.groups() if file.get(group, "Exec") is not None]


def _give_exec(file: KeyFile, bus: Bus | None, keep_actions: bool) -> None:
    """Lines for what was started over the session bus, where there are none."""
    if not file.get(MAIN, "Exec"):
        if bus is None:
            raise _unsuitable("it has no Exec: it can be started over the session bus only")
        file.set(MAIN, "Exec", bus.exec)
    actions = split_list(file.get(MAIN, "Actions") or "")
    bare = [a for a in actions if not file.get(ACTION + a, "Exec")]
    for action in bare:
        # To a program that runs, or that the bus starts: what a service file says, which of a
        # pinned application is ours too. A second launcher has no such way.
        if keep_actions and bus is not None and ACTION + action in file.groups():
            line = f"gapplication action {bus.name} {quote(action)}"
            file.set(ACTION + action, "Exec", line)
        else:
            file.remove_group(ACTION + action)
            actions.remove(action)
    if bare:
        if actions:
            file.set(MAIN, "Actions", "".join(f"{action};" for action in actions))
        else:
            file.remove(MAIN, "Actions")


def _rewrite(file: KeyFile, profile: str, netjail: str) -> None:
    original = file.get(MAIN, "Exec") or ""
    for group in _with_exec(file):
        file.set(group, "Exec", wrap(file.get(group, "Exec") or "", profile, netjail))
    if not file.get(MAIN, "TryExec"):
        # The Exec line's own program is netjail now: without this the entry would outlive what
        # it starts.
        name = program(original)
        if name is not None:
            file.set(MAIN, "TryExec", name.replace("\\", "\\\\"))
    if file.get(MAIN, "DBusActivatable") is not None:
        file.set(MAIN, "DBusActivatable", "false")  # or nobody would look at Exec
    file.set(MAIN, MARK, profile)


def _unsuitable(why: str) -> NetjailError:
    return NetjailError("no-such-application", f"this application cannot be given a profile: {why}")
