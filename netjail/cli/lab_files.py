# SPDX-License-Identifier: GPL-3.0-or-later
"""What the `lab` verbs share: the directory, its files, what of it is stored."""

from __future__ import annotations

import os
import re

from netjail.cli import reading
from netjail.cli.context import Context
from netjail.errors import NetjailError
from netjail.profile import lab
from netjail.profile.lab import PROFILES, SWITCHES, Lab

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from netjail.cli.output import Output
    from netjail.cli.parser import VerbParser

_MOST = 2000
_GET = {PROFILES: "profile.get", SWITCHES: "switch.get"}
WORD = {PROFILES: "profile", SWITCHES: "switch"}


def directory(parser: VerbParser) -> None:
    """The argument that all of them have."""
    parser.word(
        "directory", metavar="DIR", help="the lab: DIR/profiles/*.toml and DIR/switches/*.toml"
    )


def read(path: str) -> Lab:
    """The lab in a directory; its problems are in it. Raises NetjailError: no such directory."""
    texts: dict[tuple[str, str], str] = {}
    if not os.path.isdir(path):
        raise NetjailError(
            "usage",
            f"{path} is not a directory",
            "A lab is a directory with profiles/NAME.toml and switches/NAME.toml in it.",
        )
    for kind in (SWITCHES, PROFILES):
        try:
            files = sorted(os.listdir(os.path.join(path, kind)))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise NetjailError(
                "system", f"cannot read {os.path.join(path, kind)}: {error.strerror}"
            ) from None
        for file in files:
            if file.endswith(".toml") and not file.startswith("."):
                text = reading.read(os.path.join(path, kind, file))
                texts[kind, file.removesuffix(".toml")] = text
    if len(texts) > _MOST:
        raise NetjailError("usage", f"{path} has {len(texts)} files; a lab has at most {_MOST}")
    return lab.read(name_of(path), texts)


def name_of(path: str) -> str:
    """What a lab is called: as its directory."""
    base = os.path.basename(os.path.abspath(path))
    return re.sub(r"[^A-Za-z0-9._-]", "-", base) or "lab"


def valid(path: str) -> Lab:
    """The same, without problems. Raises NetjailError with all of them."""
    found = read(path)
    if found.problems:
        count = len(found.problems)
        raise NetjailError(
            "invalid-profile",
            f"lab {found.name} has {'a mistake' if count == 1 else f'{count} mistakes'}",
            None,
            found.problems,
        )
    return found


def warn(found: Lab, output: Output) -> None:
    """What is worth a look."""
    for warning in found.warnings:
        output.warning(warning)


class Stored:
    """What the helper has of a lab. `texts`: of what is of this lab, by kind and name; `others`:
    names that are taken by something else."""

    def __init__(self, found: Lab, context: Context) -> None:
        self.texts: dict[tuple[str, str], str] = {}
        self.others: list[tuple[str, str]] = []
        rows = context.call("list", "listing the profiles")["profiles"]
        self.states = {(PROFILES, row["name"]): str(row["state"]) for row in rows}
        rows = context.call("switch.list", "listing the switches")["switches"]
        self.states |= {(SWITCHES, row["name"]): str(row["state"]) for row in rows}
        for key in found.texts:
            if key in self.states:
                self._look(found.name, key, context)

    def _look(self, name: str, key: tuple[str, str], context: Context) -> None:
        kind, each = key
        try:
            answer = context.call(_GET[kind], f"looking at {WORD[kind]} {each}", name=each)
        except NetjailError as error:
            if error.code in ("no-such-profile", "no-such-switch"):
                return  # up, but its file is gone
            if error.code != "not-authorised":
                raise
            self.others.append(key)
            return
        text: str = answer["text"]
        if lab.lab_of(text) == name:
            self.texts[key] = text
        else:
            self.others.append(key)


def same(stored: str, wanted: str) -> bool:
    """Whether a stored text is that of the file, but for the line that says whose it is."""
    if stored == wanted:
        return True
    lines = stored.split("\n")
    return any(
        line.startswith("users = [") and "\n".join(lines[:n] + lines[n + 1 :]) == wanted
        for n, line in enumerate(lines[:40])
    )


def remove(keys: list[tuple[str, str]], context: Context) -> list[tuple[str, NetjailError]]:
    """Delete what is stored, switches last; errors by name."""
    failures = []
    for kind, name in sorted(keys, key=lambda key: key[0] == SWITCHES):
        try:
            context.call(f"{WORD[kind]}.remove", f"removing {WORD[kind]} {name}", name=name)
        except NetjailError as error:
            if error.code not in ("no-such-profile", "no-such-switch"):
                failures.append((name, error))
    return failures


def down(names: list[str], kill: bool, context: Context) -> list[dict[str, Any]]:
    """Take profiles down; the helper's rows."""
    if not names:
        return []
    answer = context.call("down", "taking the lab down", profiles=names, kill=kill)
    rows: list[dict[str, Any]] = answer["results"]
    return rows
