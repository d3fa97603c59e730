# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs with habits, from data/apps.toml: how to recognise one, and what keeps it apart."""

from __future__ import annotations

import functools
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Finds = Literal["directory", "bus", "display", "server"]
FINDS = ("directory", "bus", "display", "server")


@dataclass(frozen=True, slots=True)
class App:
    """One program; see data/apps.toml for what each field means. `processes` has all names that
    its processes may bear, those of the commands too."""

    id: str
    name: str
    programs: tuple[str, ...]
    processes: frozenset[str]
    finds: Finds
    entries: tuple[str, ...] = ()
    flatpak: tuple[str, ...] = ()
    snap: tuple[str, ...] = ()
    bus: str = ""
    remote: str = ""
    activated: bool = False
    apart: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    stay: tuple[str, ...] = ()
    why: str = ""

    def says_own(self, words: Sequence[str]) -> bool:
        """Whether a command line already says which copy it means."""
        return any(word == own or word.startswith(own + "=") for word in words for own in self.own)


def of_bus_name(name: str, title: str) -> App:
    """A program of which nothing is known but that it owns this name on the session bus."""
    return App(name, title, (), frozenset(), "bus", bus=name)


def _file() -> str:
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return os.path.join(package, "data", "apps.toml")


@functools.lru_cache(maxsize=1)
def apps() -> tuple[App, ...]:
    """All of them. ValueError for a file that is not of the right form, which a test looks for."""
    with open(_file(), "rb") as file:
        return read(tomllib.load(file))


def read(tables: Mapping[str, Any]) -> tuple[App, ...]:
    """The catalogue in these tables. ValueError names every table and key that is wrong."""
    problems: list[str] = []
    found = []
    for name, table in tables.items():
        wrong = _problems(table)
        problems += [f"[{name}] {problem}" for problem in wrong]
        if not wrong:
            lists: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in table.items()
            }
            processes = frozenset((*lists["programs"], *lists.pop("processes", ())))
            found.append(App(id=name, processes=processes, **lists))
    for what in ("programs", "entries", "flatpak", "snap"):
        seen: dict[str, str] = {}
        for app in found:
            for word in getattr(app, what):
                if word in seen:
                    problems.append(f"[{app.id}] {what}: {word} is also in [{seen[word]}]")
                seen[word] = app.id
    if problems:
        raise ValueError("; ".join(problems))
    return tuple(found)


def _words(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(word, str) and word and "\0" not in word for word in value)
    )


def _text(value: object) -> bool:
    return isinstance(value, str) and value != "" and value == value.strip() and "\n" not in value


_SCHEMA: dict[str, tuple[Callable[[object], bool], str]] = {
    "name": (_text, "a line of text"),
    "programs": (_words, "a list of base names"),
    "processes": (_words, "a list of base names"),
    "entries": (_words, "a list of desktop file IDs without .desktop"),
    "flatpak": (_words, "a list of application IDs"),
    "snap": (_words, "a list of names"),
    "finds": (lambda value: value in FINDS, "one of " + ", ".join(FINDS)),
    "bus": (_text, "a bus name"),
    "remote": (_text, "the beginning of a bus name"),
    "activated": (lambda value: isinstance(value, bool), "true or false"),
    "apart": (_words, "a list of words"),
    "own": (_words, "a list of words"),
    "stay": (_words, "a list of words"),
    "why": (_text, "a sentence"),
}


def _problems(table: object) -> list[str]:
    """What is wrong with one table."""
    if not isinstance(table, dict):
        return ["is not a table"]
    found = [f"{key}: unknown" for key in table if key not in _SCHEMA]
    for key, (good, allowed) in _SCHEMA.items():
        if key in table and not good(table[key]):
            found.append(f"{key}: must be {allowed}")
    found += [f"{key}: missing" for key in ("name", "programs", "finds") if key not in table]
    if found:
        return found
    for key in ("programs", "processes"):
        found += [f"{key}: {word} is a path" for word in table.get(key, ()) if "/" in word]
    for word in table.get("entries", ()):
        if word in table["programs"]:
            found.append(f"entries: {word} is implied by programs")
    if (table["finds"] == "bus") != ("bus" in table):
        found.append('bus: stands exactly where finds = "bus"')
    if table.get("activated") and "stay" not in table:
        found.append("stay: missing where there is `activated`")
    if "apart" in table and "own" not in table:
        found.append("own: missing where there is `apart`")
    if "apart" not in table and table["finds"] != "bus" and "why" not in table:
        found.append("why: missing where nothing sets a copy apart")
    for word in table.get("apart", ()):
        try:
            word.format(dir="/d", profile="p")
        except (KeyError, IndexError, ValueError):
            found.append(f"apart: {word} has other braces than {{dir}} and {{profile}}")
    return found


def _index(what: str) -> dict[str, App]:
    return {word: app for app in apps() for word in getattr(app, what)}


@functools.lru_cache(maxsize=8)
def _indexed(what: str) -> dict[str, App]:
    return _index(what)


def by_program(name: str) -> App | None:
    """By the base name of a command."""
    return _indexed("programs").get(name)


def by_entry(name: str) -> App | None:
    """By a desktop file ID, with or without its suffix."""
    for each in (name.removesuffix(".desktop"), name):
        app = _indexed("entries").get(each) or by_program(each) or by_flatpak(each)
        if app is not None:
            return app
    return None


def by_flatpak(name: str) -> App | None:
    """By an application ID of flatpak."""
    return _indexed("flatpak").get(name)


def by_snap(name: str) -> App | None:
    """By the name of a snap."""
    return _indexed("snap").get(name)
