# SPDX-License-Identifier: GPL-3.0-or-later
"""Every installed application, found as the desktop finds it.

The list is read by `quick`, the directories and languages come from pyxdg, and whoever means to
write an entry gets the whole file from pyxdg (`document`). Nothing in somebody's data directories
makes this raise: what cannot be used is skipped, and `scan` says why.
"""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass

from xdg import BaseDirectory, Locale

from netjail.desktop import entrycache, quick, rewrite
from netjail.desktop.entry import Action, Entry, Skipped
from netjail.desktop.quick import boolean, localised, string, strings
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from xdg.DesktopEntry import DesktopEntry

__all__ = ["Action", "Entry", "Scan", "Skipped"]  # the first two for everybody who asks here

SUFFIX = ".desktop"
DEPTH_MAX = 8
"""Directories below applications/ that are looked into."""

EXPORTS = (
    "{data_home}/flatpak/exports/share",
    "/var/lib/flatpak/exports/share",
    "/var/lib/snapd/desktop",
)
"""Where flatpak and snapd put entries. A login session has them in XDG_DATA_DIRS; ssh, sudo and
units of systemd often do not."""


@dataclass(frozen=True, slots=True)
class Scan:
    """`entries`: what is installed, by ID, also what menus do not show."""

    entries: tuple[Entry, ...]
    skipped: tuple[Skipped, ...]


# where they are


def data_dirs() -> list[str]:
    """The data directories, the user's own first. Relative ones do not count (XDG base dirs)."""
    home = BaseDirectory.xdg_data_home
    found = [home, *BaseDirectory.xdg_data_dirs]
    for export in EXPORTS:
        directory = export.format(data_home=home)
        if os.path.isdir(directory):
            found.append(directory)
    normal = (os.path.normpath(each) for each in found if each.startswith("/"))
    return list(dict.fromkeys(normal))


def languages() -> tuple[str, ...]:
    """What the user reads, best first, as keys have it: "de_DE", "de"."""
    return tuple(language for language in Locale.langs if language not in ("C", "POSIX"))


def files(directories: Iterable[str] | None = None) -> dict[str, str]:
    """Desktop file ID to the file that counts: the first in the order of the directories.

    Subdirectories are part of the ID: applications/kde/konsole.desktop is kde-konsole.desktop.
    """
    found: dict[str, str] = {}
    for directory in data_dirs() if directories is None else directories:
        for name, path in _walk(os.path.join(directory, "applications"), "", 0):
            found.setdefault(name, path)
    return found


def _walk(directory: str, prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    try:
        with os.scandir(directory) as scan:
            inside = sorted(scan, key=lambda each: each.name)
    except OSError:
        return
    deeper = []
    for each in inside:
        name = each.name
        if name.endswith(SUFFIX):
            yield prefix + name, each.path
        elif depth < DEPTH_MAX and "." not in name:
            deeper.append(each)
    for each in deeper:
        try:
            if each.is_dir():
                yield from _walk(each.path, f"{prefix}{each.name}-", depth + 1)
        except OSError:
            pass


# what they say


_known: entrycache.Known = {}
"""Path to (what stat(2) said of it, what was read): for the tray, which asks again and again."""
_known_languages: tuple[str, ...] | None = None


def read(path: str, name: str, wanted: quick.Wanted) -> Entry | Skipped:
    """One file, whose desktop file ID is `name`."""
    return _read(path, name, wanted)[1]


def _read(
    path: str, name: str, wanted: quick.Wanted
) -> tuple[entrycache.State | None, Entry | Skipped]:
    """What was read, and of which file: None where there is none that could be known again."""
    state = None
    try:
        text, found = quick.load(path)
        state = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
        return state, _entry(path, name, quick.parse(text, wanted), wanted)
    except quick.MalformedError as error:
        return state, Skipped(path, str(error))


def _state(found: os.stat_result) -> entrycache.State:
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)


def _entry(path: str, name: str, groups: dict[str, dict[str, str]], wanted: quick.Wanted) -> Entry:
    main = groups[quick.MAIN]
    best = wanted.best
    title = localised(main, best["Name"])
    profile, line = None, ""
    if "Exec" in main:
        profile, line = rewrite.unwrap(string(main["Exec"]))
    # Most keys are in few files, and this is done for all files: no function for what is not there
    dbus = "DBusActivatable" in main and boolean(main["DBusActivatable"])
    hidden = "Hidden" in main and boolean(main["Hidden"])
    if not hidden:  # of what is deleted nothing else matters
        kind = main["Type"].strip() if "Type" in main else ""
        if kind != "Application":
            raise quick.MalformedError(f"its Type is {kind}" if kind else "has no Type")
        if not title:
            raise quick.MalformedError("has no Name")
        if not line and not dbus:
            raise quick.MalformedError("has no Exec")
        if "\0" in line or "\ufffd" in line:
            raise quick.MalformedError("its Exec is not UTF-8")
    return Entry(
        name,
        path,
        title,
        localised(main, best["GenericName"]),
        localised(main, best["Comment"]),
        localised(main, best["Icon"]),
        line,
        string(main["TryExec"]) if "TryExec" in main else "",
        string(main["Path"]) if "Path" in main else "",
        _actions(groups, strings(main["Actions"]), wanted) if "Actions" in main else (),
        strings(main["MimeType"]) if "MimeType" in main else (),
        strings(main["Categories"]) if "Categories" in main else (),
        strings(quick.localised_raw(main, best["Keywords"])),
        strings(main["OnlyShowIn"]) if "OnlyShowIn" in main else (),
        strings(main["NotShowIn"]) if "NotShowIn" in main else (),
        "Terminal" in main and boolean(main["Terminal"]),
        "NoDisplay" in main and boolean(main["NoDisplay"]),
        hidden,
        dbus,
        "StartupNotify" in main and boolean(main["StartupNotify"]),
        string(main["StartupWMClass"]) if "StartupWMClass" in main else "",
        string(main["X-Flatpak"]) if "X-Flatpak" in main else "",
        string(main["X-SnapInstanceName"]) if "X-SnapInstanceName" in main else "",
        profile or "",
    )


def _actions(
    groups: dict[str, dict[str, str]], listed: Iterable[str], wanted: quick.Wanted
) -> tuple[Action, ...]:
    """Those that are listed and have a group of their own with a name; the others do not count."""
    found = []
    best = wanted.best
    for name in dict.fromkeys(listed):
        group = groups.get(quick.ACTION + name, {})
        title = localised(group, best["Name"])
        if title:
            line = rewrite.unwrap(string(group.get("Exec", "")))[1]
            found.append(Action(name, title, line, localised(group, best["Icon"])))
    return tuple(found)


def scan(directories: Iterable[str] | None = None) -> Scan:
    """All files, each read once as long as it does not change."""
    global _known, _known_languages  # noqa: PLW0603 - a cache
    langs = languages()
    if langs != _known_languages:
        _known, _known_languages = entrycache.load(langs), langs
    wanted = quick.Wanted(langs)
    current: entrycache.Known = {}
    fresh = False
    found: list[Entry] = []
    skipped: list[Skipped] = []
    for name, path in files(directories).items():
        known = _known.get(path) if _known else None
        if known is not None:
            try:
                if known[0] != _state(os.stat(path)):
                    known = None
            except OSError:
                known = None
        if known is None:
            state, what = _read(path, name, wanted)
            if state is not None:
                current[path] = (state, what)
                fresh = True
        else:
            current[path] = known
            what = known[1]
        if isinstance(what, Skipped):
            skipped.append(what)
        elif what.hidden:
            skipped.append(Skipped(path, "is marked as deleted (Hidden=true)"))
        elif what.try_exec and not executable(what.try_exec):
            skipped.append(Skipped(path, f"is not installed: no {what.try_exec} (TryExec)"))
        else:
            found.append(what)
    _known = current
    if fresh:
        atexit.unregister(save)
        atexit.register(save)  # whoever asked for the list does not wait for it
    return Scan(tuple(found), tuple(skipped))


def save() -> None:
    """Keep what was read for the next process; done when this one ends."""
    if _known_languages is not None:
        entrycache.save(_known_languages, _known)


def executable(program: str) -> bool:
    """Whether there is such a program: a path, or a name in PATH."""
    if program.startswith("/"):
        return os.path.isfile(program) and os.access(program, os.X_OK)
    import shutil

    return shutil.which(program) is not None


def shown(entry: Entry, desktops: Sequence[str] | None = None) -> bool:
    """Whether menus show it, on these desktops (default: of XDG_CURRENT_DESKTOP)."""
    if entry.no_display:
        return False
    if not entry.only_show_in and not entry.not_show_in:
        return True
    if desktops is None:
        desktops = [d for d in os.environ.get("XDG_CURRENT_DESKTOP", "").split(":") if d]
    for desktop in desktops:  # the first that is named decides
        if desktop in entry.only_show_in:
            return True
        if desktop in entry.not_show_in:
            return False
    return not entry.only_show_in


def all_entries(everything: bool = False) -> list[Entry]:
    """The applications that menus show, by name; with `everything` also those that they do not."""
    found = [entry for entry in scan().entries if everything or shown(entry)]
    return sorted(found, key=lambda entry: (entry.name.casefold(), entry.id))


def document(entry: Entry) -> DesktopEntry:
    """The whole file, all groups and languages: for who means to write one like it.

    Raises NetjailError("no-such-application") where pyxdg cannot read it.
    """
    from xdg.DesktopEntry import DesktopEntry
    from xdg.Exceptions import Error

    try:
        return DesktopEntry(entry.path)
    except (Error, OSError, ValueError, LookupError) as error:
        raise NetjailError(
            "no-such-application", f"{entry.path} cannot be read: {error}", None
        ) from None


# which of them is meant


def find(wanted: str) -> Entry:
    """The application that somebody calls `wanted`: a desktop file ID with or without its suffix,
    a path to a .desktop file, the name in the menu, or the program's.

    Raises NetjailError("no-such-application").
    """
    if "/" in wanted:
        return _of_file(wanted)
    found = scan()
    entries = {entry.id: entry for entry in found.entries}
    for name in (wanted, wanted + SUFFIX):
        if name in entries:
            return entries[name]
    lower = wanted.removesuffix(SUFFIX).casefold()
    for key in (_short_id, _title, _program):
        same = [entry for entry in found.entries if key(entry) == lower]
        same = [entry for entry in same if shown(entry)] or same
        same = [entry for entry in same if not is_launcher(entry)] or same
        if len(same) == 1:
            return same[0]
        if same:
            raise NetjailError(
                "no-such-application",
                f"{wanted} may mean more than one application",
                "Say which: " + ", ".join(sorted(entry.id for entry in same)) + ".",
            )
    raise _none(wanted, found)


def is_launcher(entry: Entry) -> bool:
    """Whether it is one that `netjail app add` made of another, which is meant before it."""
    return bool(entry.profile) and entry.id.startswith(f"netjail.{entry.profile}.")


def _of_file(path: str) -> Entry:
    path = os.path.abspath(path)
    found = read(path, os.path.basename(path), quick.Wanted(languages()))
    if isinstance(found, Skipped):
        raise NetjailError("no-such-application", f"{path} {found.reason}")
    if found.hidden:
        raise NetjailError("no-such-application", f"{path} is marked as deleted (Hidden=true)")
    return found


def _short_id(entry: Entry) -> str:
    """ "nautilus" of org.gnome.Nautilus.desktop."""
    return entry.id.removesuffix(SUFFIX).rpartition(".")[2].casefold()


def _title(entry: Entry) -> str:
    return entry.name.casefold()


def _program(entry: Entry) -> str:
    from netjail.desktop import execline

    return execline.program(entry.exec).casefold()


def _none(wanted: str, found: Scan) -> NetjailError:
    import difflib

    name = wanted if wanted.endswith(SUFFIX) else wanted + SUFFIX
    for each in found.skipped:
        if os.path.basename(each.path) == name:
            return NetjailError("no-such-application", f"{each.path} {each.reason}")
    words: dict[str, str] = {}
    for entry in found.entries:
        for word in (entry.id.removesuffix(SUFFIX), _short_id(entry), _title(entry)):
            words.setdefault(word.casefold(), entry.id)
    asked = wanted.removesuffix(SUFFIX).casefold()
    near = difflib.get_close_matches(asked, words, n=3, cutoff=0.6)
    near += [word for word in words if asked and asked in word and word not in near]
    meant = list(dict.fromkeys(words[word] for word in near))[:3]
    return NetjailError(
        "no-such-application",
        f"no application {wanted} is installed",
        f"Did you mean {' or '.join(meant)}?" if meant else "`netjail apps` lists them all.",
    )


def icon_path(entry: Entry, size: int) -> str | None:
    """The file with its icon in the user's theme, nearest to `size` pixels; None: there is none."""
    from netjail.desktop import icons

    return icons.path(entry.icon, size)
