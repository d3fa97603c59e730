# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line as data, read from the parsers of the verbs: for manual and completions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "data"
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from netjail.cli import app, verbs  # noqa: E402
from netjail.cli.parser import VerbParser  # noqa: E402
from netjail.cli.program import ProgramParser  # noqa: E402

KINDS = {
    "PROFILE": "profile",
    "SWITCH": "switch",
    "USER": "user",
    "FILE": "file",
    "DIRECTORY": "directory",
    "DIR": "directory",
    "SIGNAL": "signal",
    "VERB": "verb",
}
"""What a placeholder stands for, where completion knows something about it."""


@dataclass(frozen=True)
class Option:
    """`value`: the placeholder, None for an option without one; `kind`: see KINDS, or ""."""

    flags: tuple[str, ...]
    help: str
    value: str | None
    kind: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """An argument without a dash."""

    name: str
    help: str
    kind: str
    many: bool
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verb:
    """`program`: whether what follows the places is somebody else's command line; `whole`:
    whether words after the first place are the program's even if they look like our options."""

    name: str
    group: str
    line: str
    parser: VerbParser
    options: tuple[Option, ...]
    places: tuple[Place, ...]
    program: bool
    whole: bool


GLOBAL = (
    Option(("--json",), "print one line of JSON instead of text", None, ""),
    Option(("--no-ask-password",), "fail rather than ask for a password", None, ""),
    Option(("-h", "--help"), "list the verbs", None, ""),
    Option(("-V", "--version"), "print the version", None, ""),
)
"""Options before the verb."""


def read() -> list[Verb]:
    """All verbs, in the order of the help."""
    return [_verb(name, group, line) for group, rows in verbs.GROUPS for name, _, line in rows]


def options_of(parser: argparse.ArgumentParser) -> tuple[Option, ...]:
    """The options of a parser that are meant for people, what every verb has at the end."""
    found = [_option(a) for a in parser._actions if a.option_strings and _shown(a)]
    return tuple(sorted(found, key=lambda option: option.flags[-1] in ("--json", "--help")))


def _verb(name: str, group: str, line: str) -> Verb:
    parser = app.load(name).parser()
    places = [_place(a) for a in parser._actions if not a.option_strings and _shown(a)]
    whole = isinstance(parser, ProgramParser)
    program = name in ("run", "port watch")
    if whole:  # these split their words by hand
        places = [Place("PROFILE", "the profile whose network it gets", "profile", False)]
    return Verb(name, group, line, parser, options_of(parser), tuple(places), program, whole)


def _shown(action: argparse.Action) -> bool:
    return action.help != argparse.SUPPRESS


def _option(action: argparse.Action) -> Option:
    value = None
    if action.nargs != 0:
        value = str(action.metavar or action.dest.upper())
    return Option(
        tuple(action.option_strings),
        _help(action),
        value,
        KINDS.get(value or "", ""),
        tuple(map(str, action.choices or ())),
    )


def _place(action: argparse.Action) -> Place:
    name = str(action.metavar or action.dest.upper())
    return Place(
        name,
        _help(action),
        KINDS.get(name, ""),
        action.nargs in ("*", "+"),
        tuple(map(str, action.choices or ())),
    )


def _help(action: argparse.Action) -> str:
    text = action.help or ""
    return text % {"default": action.default} if "%(" in text else text


_FAMILIES = {
    "app": "applications",
    "lab": "labs",
    "port": "ports",
    "profile": "profiles",
    "switch": "switches",
}


def first_words(known: list[Verb]) -> Iterator[tuple[str, str]]:
    """What may stand where a verb begins, with a line on it."""
    seen = set()
    for verb in known:
        first = verb.name.split(" ")[0]
        if first not in seen:
            seen.add(first)
            seconds = [v.name.split(" ")[1] for v in known if v.name.startswith(first + " ")]
            yield first, f"{_FAMILIES[first]}: {', '.join(seconds)}" if seconds else verb.line
