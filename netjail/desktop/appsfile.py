# SPDX-License-Identifier: GPL-3.0-or-later
"""~/.config/netjail/apps.toml: which application starts in which profile.

Read by the user's own processes only; the helper, which is root, never opens it.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field, replace

from netjail import names
from netjail.desktop import places
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 1
_HEADER = """\
# Applications that start in a network profile of their own. Written by `netjail app`, which keeps
# no comments here. `netjail app list` shows whether all is in order.
"""
_ENTRY = re.compile(r"[^/\x00-\x1f]+\.desktop")
_HASH = re.compile(r"[0-9a-f]{64}")
_MIME = re.compile(r"[^/;=\s]+/[^/;=\s]+")


@dataclass(frozen=True, slots=True)
class Pin:
    """An application that always starts in `profile`.

    `entry_id`: its desktop file ID. `source`: the file that our entry was made from, `digest` its
    SHA-256 at that time. `bus_name`: of the D-Bus service that starts it, "" where there is none
    or it was left alone.
    """

    entry_id: str
    profile: str
    source: str
    digest: str
    bus_name: str = ""


@dataclass(frozen=True, slots=True)
class Launcher:
    """A second entry, `entry_id`, that starts the application `of` in `profile`.

    `defaults`: MIME types for which `of` or another was made the default explicitly, so that the
    new entry does not become it by being there, as "type=ID".
    """

    entry_id: str
    of: str
    profile: str
    source: str
    digest: str
    defaults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Apps:
    """The whole file."""

    pins: tuple[Pin, ...] = ()
    launchers: tuple[Launcher, ...] = field(default=())

    def pin(self, entry_id: str) -> Pin | None:
        """The pin of an application."""
        return next((pin for pin in self.pins if pin.entry_id == entry_id), None)

    def launcher(self, entry_id: str) -> Launcher | None:
        """The launcher with an ID."""
        return next((each for each in self.launchers if each.entry_id == entry_id), None)

    def with_pin(self, pin: Pin) -> Apps:
        """A pin more, or another in the place of the one before."""
        kept = [each for each in self.pins if each.entry_id != pin.entry_id]
        return replace(self, pins=tuple(sorted([*kept, pin], key=lambda each: each.entry_id)))

    def without_pin(self, entry_id: str) -> Apps:
        """A pin less."""
        return replace(self, pins=tuple(p for p in self.pins if p.entry_id != entry_id))

    def with_launcher(self, launcher: Launcher) -> Apps:
        """A launcher more, or another in the place of the one before."""
        kept = [each for each in self.launchers if each.entry_id != launcher.entry_id]
        both = sorted([*kept, launcher], key=lambda each: each.entry_id)
        return replace(self, launchers=tuple(both))

    def without_launcher(self, entry_id: str) -> Apps:
        """A launcher less."""
        kept = tuple(each for each in self.launchers if each.entry_id != entry_id)
        return replace(self, launchers=kept)


def path() -> str:
    """Where the file is."""
    return os.path.join(places.config_home(), "netjail", "apps.toml")


def load() -> Apps:
    """The file as it is; empty where there is none. Raises `invalid-file` with all problems."""
    data = places.read(path())
    return Apps() if data is None else parse(data)


def save(apps: Apps) -> None:
    """Write it at once. Raises `system`."""
    places.write(path(), dump(apps).encode(), mode=0o600)


def dump(apps: Apps) -> str:
    """The text of the file."""
    import tomli_w

    data: dict[str, Any] = {"version": VERSION}
    if apps.pins:
        data["pin"] = [
            _sparse(
                entry=pin.entry_id,
                profile=pin.profile,
                source=pin.source,
                sha256=pin.digest,
                bus_name=pin.bus_name,
            )
            for pin in apps.pins
        ]
    if apps.launchers:
        data["launcher"] = [
            _sparse(
                entry=each.entry_id,
                of=each.of,
                profile=each.profile,
                source=each.source,
                sha256=each.digest,
                defaults=list(each.defaults),
            )
            for each in apps.launchers
        ]
    return _HEADER + tomli_w.dumps(data)


def _sparse(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value}


def parse(data: bytes) -> Apps:
    """What a file says. Raises `invalid-file` with all problems at once."""
    try:
        found = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _invalid([str(error)]) from None
    problems: list[str] = []
    version = found.get("version")
    if version != VERSION or isinstance(version, bool):
        problems.append(f"version: this netjail reads version {VERSION}, not {version!r}")
    for key in found.keys() - {"version", "pin", "launcher"}:
        problems.append(f"{key}: there is no such key")
    pins = [
        Pin(t.entry("entry"), t.profile(), t.path("source"), t.digest(), t.text("bus_name", ""))
        for t in _tables(found, "pin", problems, {"bus_name"})
    ]
    launchers = [
        Launcher(
            t.entry("entry"),
            t.entry("of"),
            t.profile(),
            t.path("source"),
            t.digest(),
            t.defaults("defaults"),
        )
        for t in _tables(found, "launcher", problems, {"of", "defaults"})
    ]
    for kind, ids in (
        ("pin", [p.entry_id for p in pins]),
        ("launcher", [x.entry_id for x in launchers]),
    ):
        problems += [
            f"{kind}: {each} stands there twice"
            for each in sorted({i for i in ids if i and ids.count(i) > 1})
        ]
    if problems:
        raise _invalid(problems)
    return Apps(tuple(pins), tuple(launchers))


def _invalid(problems: list[str]) -> NetjailError:
    return NetjailError(
        "invalid-file",
        f"{path()} is not as netjail wrote it",
        "Correct it, or delete it and pin the applications anew: what is already pinned goes on.",
        tuple(problems),
    )


def _tables(found: dict[str, Any], name: str, problems: list[str], more: set[str]) -> list[_Table]:
    value = found.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        problems.append(f"{name}: must be written as [[{name}]]")
        return []
    known = {"entry", "profile", "source", "sha256"} | more
    tables = []
    for number, each in enumerate(value, 1):
        where = f"{name} {number}"
        problems += [f"{where}: there is no key {key}" for key in sorted(each.keys() - known)]
        tables.append(_Table(where, each, problems))
    return tables


class _Table:
    """One [[table]]: gives a value that is of the right form, else notes the problem and gives
    something empty."""

    def __init__(self, where: str, table: dict[str, Any], problems: list[str]) -> None:
        self._where = where
        self._table = table
        self._problems = problems

    def _bad(self, key: str, wanted: str) -> None:
        shown = repr(self._table[key])[:60] if key in self._table else "missing"
        self._problems.append(f"{self._where}: {key} must be {wanted}; it is {shown}")

    def text(self, key: str, default: str) -> str:
        value = self._table.get(key, default)
        if isinstance(value, str) and value.isprintable() and "/" not in value:
            return value
        self._bad(key, "a name")
        return ""

    def entry(self, key: str) -> str:
        value = self._table.get(key)
        if isinstance(value, str) and _ENTRY.fullmatch(value):
            return value
        self._bad(key, 'a desktop file ID, like "firefox.desktop"')
        return ""

    def profile(self) -> str:
        value = self._table.get("profile")
        if isinstance(value, str) and names.valid_name(value):
            return value
        self._bad("profile", "a profile's name")
        return ""

    def path(self, key: str) -> str:
        value = self._table.get(key)
        if isinstance(value, str) and value.startswith("/") and "\0" not in value:
            return value
        self._bad(key, "an absolute path")
        return ""

    def digest(self) -> str:
        value = self._table.get("sha256")
        if isinstance(value, str) and _HASH.fullmatch(value):
            return value
        self._bad("sha256", "64 hexadecimal digits")
        return ""

    def defaults(self, key: str) -> tuple[str, ...]:
        value = self._table.get(key, [])
        if isinstance(value, list) and all(isinstance(v, str) and _default(v) for v in value):
            return tuple(value)
        self._bad(key, 'a list of "TYPE=ID"')
        return ()


def _default(text: str) -> bool:
    kind, _, entry = text.partition("=")
    return bool(_MIME.fullmatch(kind) and _ENTRY.fullmatch(entry))
