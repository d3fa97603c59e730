# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail lab up`: store and bring up a whole lab, or nothing of it."""

from __future__ import annotations

from netjail.cli import lab_files
from netjail.cli.context import Context, Result, collect
from netjail.cli.output import Output, Text, plural
from netjail.cli.parser import VerbParser
from netjail.cli.up import bring_up
from netjail.errors import NetjailError
from netjail.profile import lab

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `lab up`."""
    parser = VerbParser(
        "lab up",
        "DIR",
        "Brings a lab up: all of its profiles and switches, or, if one of them cannot be, none.\n"
        "They are stored under their own names for as long as the lab is there; what you have\n"
        "already is never overwritten. Where files have changed, those are taken over.",
        examples=(("netjail lab up labs/branch-office", ""),),
        exits=(("0", "all of it is up"), ("1", "nothing was changed")),
    )
    lab_files.directory(parser)
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{lab, profiles: [names], switches: [names], stored: how many files were stored or changed,
    changed: how many profiles were brought up or mended}."""
    found = lab_files.valid(args.directory)
    lab_files.warn(found, context.output)
    stored = lab_files.Stored(found, context)
    _refuse_others(stored)
    added: list[tuple[str, str]] = []
    changed = 0
    texts = 0
    try:
        # switches first: a profile's link is checked against them
        for key in sorted(found.texts, key=lambda key: key[0] != lab.SWITCHES):
            wanted = lab.marked(found.name, found.texts[key])
            old = stored.texts.get(key)
            if old is not None and lab_files.same(old, wanted):
                continue
            _store(key, wanted, old is not None, context)
            texts += 1
            if old is None:
                added.append(key)
        for name in _order(found):
            changed += bool(bring_up(context, name, 0).get("changed"))
    except BaseException as error:
        _undo(added, error, found, context)
        raise
    return Result(
        {
            "lab": found.name,
            "profiles": sorted(found.profiles),
            "switches": sorted(found.switches),
            "stored": texts,
            "changed": changed,
        }
    )


def _refuse_others(stored: lab_files.Stored) -> None:
    if not stored.others:
        return
    raise NetjailError(
        "exists",
        "what you have already has names of this lab, and is not overwritten",
        "rename the files of the lab, or those: netjail list, netjail switch list",
        tuple(f"{lab_files.WORD[kind]} {name} is there already" for kind, name in stored.others),
    )


def _store(key: tuple[str, str], text: str, replace: bool, context: Context) -> None:
    kind, name = key
    word = lab_files.WORD[kind]
    context.call(f"{word}.add", f"storing {word} {name}", name=name, text=text, replace=replace)


def _order(found: lab.Lab) -> list[str]:
    """Whoever serves DHCP first, so that nobody has to ask twice."""
    serves = {p.name: any(link.serve_dhcp for link in p.links) for p in found.profiles.values()}
    return sorted(found.profiles, key=lambda name: (not serves[name], name))


def _undo(
    added: list[tuple[str, str]], error: BaseException, found: lab.Lab, context: Context
) -> None:
    """Of a lab that cannot be as a whole, leave nothing."""
    names = [name for kind, name in added if kind == lab.PROFILES]
    try:
        rows = lab_files.down(names, False, context)
        failures = [
            (row["profile"], NetjailError.from_dict(each))
            for row in rows
            for each in row.get("errors", ())
        ]
        failures += lab_files.remove(added, context)
    except NetjailError as second:
        failures = [(found.name, second)]
    left = collect(failures, len(names) + 1, "taken down again")
    if left is not None and isinstance(error, NetjailError):
        error.problems = (*error.problems, *(left.problems or (left.message,)))


def render(data: dict[str, Any], output: Output) -> None:
    """One line."""
    count = plural(len(data["profiles"]), "profile")
    more = plural(len(data["switches"]), "switch", "switches")
    already = "" if data["changed"] or data["stored"] else " already"
    output.line("Lab ", Text(data["lab"], "bold"), f" is up{already}: {count}, {more}.")
