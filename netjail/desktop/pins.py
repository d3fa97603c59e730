# SPDX-License-Identifier: GPL-3.0-or-later
"""Applications with a profile for good: pinned ones, and second launchers beside the first.

A pin is an entry of the same desktop file ID in the user's own directory, which hides the system's
from every menu, dock and file association. All of it is the user's own business, in the user's
files, and needs no helper. Every function raises NetjailError.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from netjail import names
from netjail.desktop import appsfile, busnames, entries, mimecache, places, rewrite, tell
from netjail.desktop.appsfile import Launcher, Pin
from netjail.desktop.keyfile import KeyFile
from netjail.desktop.overrides import Override
from netjail.desktop.recent import Recent, note_recent, recent
from netjail.errors import NetjailError

__all__ = [
    "Launcher",
    "Pin",
    "Recent",
    "State",
    "add",
    "launchers",
    "note_recent",
    "pin",
    "pins",
    "profile_of",
    "recent",
    "refresh",
    "remove",
    "source_of",
    "unpin",
]

_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
"""Where a desktop session surely looks for programs."""


@dataclass(frozen=True, slots=True)
class State:
    """How a pin or a launcher is doing.

    `kind`: "pin" or "launcher"; `of`: the application it starts. `status`: "ok", "updated" (just
    now: the application has changed), "changed" (by somebody, which is fine), "source-gone",
    "profile-gone", "broken" (the application's entry cannot be used any more), "outdated" and
    "missing" (what `refresh` mends). `text` says it in a sentence, "" for "ok".
    """

    kind: str
    entry_id: str
    of: str
    profile: str
    name: str
    status: str
    text: str
    file: str

    @property
    def in_order(self) -> bool:
        """Whether it starts where it should."""
        return self.status in ("ok", "updated", "changed")


@dataclass(frozen=True, slots=True)
class _Source:
    path: str
    data: bytes

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def pins() -> list[Pin]:
    """The pinned applications, by ID."""
    return list(appsfile.load().pins)


def launchers() -> list[Launcher]:
    """The second launchers, by ID."""
    return list(appsfile.load().launchers)


def profile_of(entry_id: str) -> str | None:
    """The profile that an application is pinned to."""
    found = appsfile.load().pin(entry_id)
    return None if found is None else found.profile


def source_of(entry_id: str) -> bytes | None:
    """The entry of an application as it is without us; None where it is not installed."""
    source = _source(entry_id)
    return None if source is None else source.data


def file_of(entry_id: str) -> str:
    """The file that is ours, of a pinned application or a launcher."""
    return _entry_file(entry_id).target


def launcher_id(entry_id: str, profile: str) -> str:
    """The desktop file ID of the launcher that starts an application in a profile. No profile's
    name has a dot in it, so no two make the same."""
    return f"netjail.{profile}.{entry_id}"


def netjail_program() -> str:
    """How an Exec line names us: by name where every session finds it, else by path."""
    if shutil.which("netjail", path=_SYSTEM_PATH):
        return "netjail"
    own = os.path.abspath(sys.argv[0]) if sys.argv else ""
    if os.path.basename(own) == "netjail" and os.access(own, os.X_OK):
        return own
    return shutil.which("netjail") or "netjail"


# pins


def pin(entry_id: str, profile: str) -> Pin:
    """Make an application always start in `profile`, which need not exist for that."""
    _check(entry_id, profile)
    with _changing():
        apps = appsfile.load()
        source = _source(entry_id)
        if source is None:
            raise _no_such(entry_id)
        before = apps.pin(entry_id)
        bus = busnames.find(entry_id)
        made = Pin(entry_id, profile, source.path, source.digest, "" if bus is None else bus.name)
        fresh = _pinned(made, source)
        appsfile.save(apps.with_pin(made))  # first: what is written can be found, and taken back
        _put(_entry_file(entry_id), fresh)
        if bus is not None:
            _put_service(bus.name, profile)
        elif before is not None and before.bus_name:
            _restore_service(before.bus_name)
        mimecache.refresh()
    return made


def unpin(entry_id: str) -> str | None:
    """Put everything back as it was. Gives the file with what somebody has changed in our entry,
    which is kept; None where nobody has."""
    with _changing():
        apps = appsfile.load()
        found = apps.pin(entry_id)
        if found is None:
            raise NetjailError(
                "no-such-application",
                f"{entry_id} is not pinned",
                "`netjail app list` shows what is.",
            )
        kept = _entry_file(entry_id).restore()
        if found.bus_name:
            _restore_service(found.bus_name)
        appsfile.save(apps.without_pin(entry_id))
        mimecache.refresh()
    return kept


# launchers


def add(entry_id: str, profile: str) -> Launcher:
    """Make a second entry that starts an application in `profile`, "Firefox (vpn)"."""
    from netjail.desktop import badge, keepdefaults

    _check(entry_id, profile)
    with _changing():
        apps = appsfile.load()
        source = _source(entry_id)
        if source is None:
            raise _no_such(entry_id)
        name = launcher_id(entry_id, profile)
        before = apps.launcher(name)
        made = Launcher(name, entry_id, profile, source.path, source.digest)
        if before is not None:
            made = replace(made, defaults=before.defaults)
        openers = keepdefaults.before(source.data)
        fresh = _added(made, source, badge.put(name, source.data, profile))
        appsfile.save(apps.with_launcher(made))
        _put(_entry_file(name), fresh)
        mimecache.refresh()
        kept = keepdefaults.keep(openers, name)
        if kept:
            made = replace(made, defaults=tuple(sorted({*made.defaults, *kept})))
            appsfile.save(apps.with_launcher(made))
    return made


def remove(entry_id: str, profile: str) -> str | None:
    """Take the second entry away. Gives what `unpin` gives."""
    from netjail.desktop import badge, keepdefaults

    name = launcher_id(entry_id, profile)
    with _changing():
        apps = appsfile.load()
        found = apps.launcher(name)
        if found is None:
            raise NetjailError(
                "no-such-application",
                f"there is no launcher of {entry_id} in {profile}",
                "`netjail app list` shows what there is.",
            )
        kept = _entry_file(name).restore()
        badge.remove(name)
        keepdefaults.give_up(found.defaults)
        appsfile.save(apps.without_launcher(name))
        mimecache.refresh()
    return kept


# whether all is in order


def refresh(profiles: Iterable[str] | None = None, mend: bool = True) -> list[State]:
    """Look after everything, and say how it is.

    An application that was updated gets its entry made anew, with whatever somebody has changed in
    ours; what is missing is written again. `profiles`: those that there are, None: not known.
    `mend`: False only looks.
    """
    known = None if profiles is None else set(profiles)
    with _changing():
        apps = appsfile.load()
        states = []
        wrote = False
        both: list[Pin | Launcher] = [*apps.pins, *apps.launchers]
        for each in both:
            state, now = _look_after(each, known, mend)
            states.append(state)
            if now is not None:
                wrote = True
                apps = apps.with_pin(now) if isinstance(now, Pin) else apps.with_launcher(now)
        if wrote:
            appsfile.save(apps)
            mimecache.refresh()
    return states


def _look_after(
    each: Pin | Launcher, profiles: set[str] | None, mend: bool
) -> tuple[State, Pin | Launcher | None]:
    """How it is, and what is to be recorded of it where something was written."""
    of = each.entry_id if isinstance(each, Pin) else each.of
    file = _entry_file(each.entry_id)
    now = file.current()

    def state(status: str, text: str) -> State:
        kind = "pin" if isinstance(each, Pin) else "launcher"
        name = _name(now) or of
        return State(kind, each.entry_id, of, each.profile, name, status, text, file.target)

    source = _source(of)
    if source is None:
        return state("source-gone", f"{of} is not installed any more"), None
    try:
        fresh = _pinned(each, source) if isinstance(each, Pin) else _again(each, source)
    except NetjailError as error:
        return state("broken", error.message), None
    base = places.read(file.base)
    replaced = now is not None and not file.ours(now)
    by_hand = now is not None and not replaced and now != (fresh if base is None else base)
    if by_hand:
        assert now is not None
        wanted = rewrite.merge(fresh if base is None else base, now, fresh)
    else:
        wanted = fresh
    due = now != wanted or base != fresh or not _service_in_order(each)
    if due and not mend:
        if now is None:
            return state("missing", f"{file.target} is gone: `netjail app refresh` writes it"), None
        return state("outdated", "`netjail app refresh` brings it up to date"), None
    recorded = None
    if due:
        recorded = replace(each, source=source.path, digest=source.digest)
        file.put(fresh, wanted)
        if isinstance(each, Pin) and each.bus_name:
            _put_service(each.bus_name, each.profile)
    now = wanted
    if profiles is not None and each.profile not in profiles:
        return state("profile-gone", f"there is no profile {each.profile}"), recorded
    if due:
        why = "was updated" if each.digest != source.digest else "was put in order"
        return state("updated", f"its entry {why}"), recorded
    if by_hand:
        return state("changed", "its entry was changed by hand, which stays"), None
    return state("ok", ""), None


def _service_in_order(each: Pin | Launcher) -> bool:
    if isinstance(each, Launcher) or not each.bus_name:
        return True
    source = busnames.source(each.bus_name)
    if source is None:
        return True  # not ours to mend
    fresh = rewrite.service(source, each.profile, netjail_program())
    return busnames.override(each.bus_name).current() == fresh


# files


def _entry_file(entry_id: str) -> Override:
    directory = os.path.join(places.data_home(), "applications")
    own = entries.files([places.data_home()])
    return Override(own.get(entry_id, os.path.join(directory, entry_id)), entry_id, _ours)


def _ours(data: bytes) -> bool:
    return KeyFile(data).get(rewrite.MAIN, rewrite.MARK) is not None


def _source(entry_id: str) -> _Source | None:
    """The entry that ours is made from: the user's own, or the first of the system's."""
    path = _entry_file(entry_id).own()
    if path is None:
        home = places.data_home()
        others = [each for each in entries.data_dirs() if each != home]
        path = entries.files(others).get(entry_id)
    data = None if path is None else places.read(path)
    return None if path is None or data is None else _Source(path, data)


def _pinned(which: Pin, source: _Source) -> bytes:
    bus = busnames.find(which.entry_id)
    return rewrite.pinned(source.data, which.profile, netjail_program(), _bus(bus))


def _added(which: Launcher, source: _Source, icon: str | None) -> bytes:
    return rewrite.added(
        source.data,
        which.profile,
        which.entry_id.removesuffix(entries.SUFFIX),
        icon,
        netjail_program(),
        _bus(busnames.find(which.of)),
    )


def _again(which: Launcher, source: _Source) -> bytes:
    from netjail.desktop import badge

    if which.digest != source.digest:
        return _added(which, source, badge.put(which.entry_id, source.data, which.profile))
    return _added(which, source, badge.name_of(which.entry_id))


def _bus(found: busnames.Service | None) -> rewrite.Bus | None:
    return None if found is None else rewrite.Bus(found.name, found.as_exec)


def _put(file: Override, fresh: bytes) -> None:
    """Write an entry, keeping what somebody has changed in the one before."""
    now, base = file.current(), places.read(file.base)
    if now is None or base is None or not file.ours(now) or now == base:
        file.put(fresh)
    else:
        file.put(fresh, rewrite.merge(base, now, fresh))


def _put_service(name: str, profile: str) -> None:
    source = busnames.source(name)
    if source is not None:
        busnames.override(name).put(rewrite.service(source, profile, netjail_program()))
        tell.reload_services()


def _restore_service(name: str) -> None:
    busnames.override(name).restore()
    tell.reload_services()


def _name(data: bytes | None) -> str:
    if data is None:
        return ""
    name = KeyFile(data).get(rewrite.MAIN, "Name") or ""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _check(entry_id: str, profile: str) -> None:
    if not names.valid_name(profile):
        raise NetjailError("invalid-name", f"`{profile[:80]}` cannot be a profile's name")
    if not entry_id.endswith(entries.SUFFIX) or "/" in entry_id or not entry_id.isprintable():
        raise NetjailError("no-such-application", f"{entry_id} is not a desktop file ID")
    if appsfile.load().launcher(entry_id) is not None:
        raise NetjailError(
            "usage",
            f"{entry_id} is a launcher that starts in a profile already",
            "Name the application that it was made of; `netjail app list` shows it.",
        )


def _no_such(entry_id: str) -> NetjailError:
    return NetjailError(
        "no-such-application",
        f"no application {entry_id} is installed",
        "`netjail apps` lists what is.",
    )


def _changing() -> AbstractContextManager[None]:
    places.require_own_home()
    return places.locked(os.path.dirname(appsfile.path()))
