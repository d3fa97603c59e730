# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail lab validate`: check all files of a lab, each and together. Needs no helper."""

from __future__ import annotations

from netjail.cli import lab_files
from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text, plural
from netjail.cli.parser import VerbParser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `lab validate`."""
    parser = VerbParser(
        "lab validate",
        "DIR",
        "Checks all files of a lab, each for itself and all together: links to nobody, the same\n"
        "address twice, networks that overlap. Needs no root and touches nothing.",
        examples=(("netjail lab validate labs/branch-office", ""),),
        exits=(("0", "the lab can be brought up"), ("1", "it has mistakes")),
    )
    lab_files.directory(parser)
    return parser


def execute(args: Namespace, _context: Context) -> Result:
    """{lab, profiles, switches, problems, warnings}."""
    found = lab_files.read(args.directory)
    data = {
        "lab": found.name,
        "profiles": sorted(found.profiles),
        "switches": sorted(found.switches),
        "problems": list(found.problems),
        "warnings": list(found.warnings),
    }
    return Result(data, exit=int(bool(found.problems)))


def render(data: dict[str, Any], output: Output) -> None:
    """One line, and the problems."""
    name = Text(data["lab"], "bold")
    if data["problems"]:
        output.line(name, ": ", Text(plural(len(data["problems"]), "mistake"), "red"))
    else:
        count = plural(len(data["profiles"]), "profile")
        more = plural(len(data["switches"]), "switch", "switches")
        output.line(name, ": ", Text("valid", "green"), f", {count}, {more}")
    for problem in data["problems"]:
        for line in problem.split("\n"):
            output.line("  ", line)
    for warning in data["warnings"]:
        output.line("  ", Text("note: ", "yellow"), warning)
