# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail lab status`: how much of a lab is up."""

from __future__ import annotations

from netjail.cli import lab_files
from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text, plural, state_text
from netjail.cli.parser import VerbParser
from netjail.profile import lab

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `lab status`."""
    parser = VerbParser(
        "lab status",
        "DIR",
        "Shows which profiles and switches of a lab are up, and which files have changed since\n"
        "`netjail lab up`.",
        examples=(("netjail lab status labs/branch-office", ""),),
    )
    lab_files.directory(parser)
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{lab, problems, members: [{kind, name, state, stored, changed}]}. `stored`: by `lab up`."""
    found = lab_files.read(args.directory)
    stored = lab_files.Stored(found, context)
    members = []
    for key in sorted(found.texts, key=lambda key: (key[0] != lab.SWITCHES, key[1])):
        kind, name = key
        text = stored.texts.get(key)
        wanted = lab.marked(found.name, found.texts[key])
        members.append(
            {
                "kind": lab_files.WORD[kind],
                "name": name,
                "state": stored.states.get(key, "down") if text is not None else "down",
                "stored": text is not None,
                "changed": text is not None and not lab_files.same(text, wanted),
            }
        )
    return Result({"lab": found.name, "problems": list(found.problems), "members": members})


def render(data: dict[str, Any], output: Output) -> None:
    """A line on the whole, and a table."""
    profiles = [m for m in data["members"] if m["kind"] == "profile"]
    up = sum(m["state"] not in ("down", "failed") for m in profiles)
    output.line(Text(data["lab"], "bold"), f": {up} of {plural(len(profiles), 'profile')} up")
    rows = [
        [m["kind"], m["name"], state_text(m["state"]), "file changed" if m["changed"] else ""]
        for m in data["members"]
    ]
    if rows:
        output.table(("KIND", "NAME", "STATE", ""), rows)
    for problem in data["problems"]:
        output.line("  ", Text("mistake: ", "red"), problem)
