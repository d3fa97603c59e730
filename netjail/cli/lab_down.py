# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail lab down`: take a lab down and away."""

from __future__ import annotations

from netjail.cli import lab_files
from netjail.cli.context import Context, Result, collect
from netjail.cli.output import Output, Text
from netjail.cli.parser import VerbParser
from netjail.errors import NetjailError
from netjail.profile import lab

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `lab down`."""
    parser = VerbParser(
        "lab down",
        "[--kill] DIR",
        "Takes a lab down, and removes what `lab up` has stored of it. Your files stay as they\n"
        "are, and so does what was not stored by it, whatever its name.",
        examples=(("netjail lab down --kill labs/branch-office", "programs inside are ended"),),
        exits=(("0", "nothing of it is left"), ("1", "something could not be taken down")),
    )
    lab_files.directory(parser)
    parser.option("--kill", action="store_true", help="end the programs that run inside")
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{lab, removed: [names of profiles], switches: [names]}. The files need not be valid."""
    found = lab_files.read(args.directory)
    stored = lab_files.Stored(found, context)
    names = [name for kind, name in stored.texts if kind == lab.PROFILES]
    rows = lab_files.down(names, args.kill, context)
    failures = [
        (row["profile"], NetjailError.from_dict(error))
        for row in rows
        for error in row.get("errors", ())
    ]
    stays = {name for name, _ in failures}
    away = [key for key in stored.texts if key[0] == lab.PROFILES and key[1] not in stays]
    if not stays:  # else they are needed
        away += [key for key in stored.texts if key[0] == lab.SWITCHES]
    failures += lab_files.remove(away, context)
    left = {name for name, _ in failures}
    gone = [key for key in away if key[1] not in left]
    data = {
        "lab": found.name,
        "removed": sorted(name for kind, name in gone if kind == lab.PROFILES),
        "switches": sorted(name for kind, name in gone if kind == lab.SWITCHES),
    }
    return Result(data, error=collect(failures, len(stored.texts), "taken down"))


def render(data: dict[str, Any], output: Output) -> None:
    """One line."""
    name = Text(data["lab"], "bold")
    if data["removed"] or data["switches"]:
        output.line("Lab ", name, " is down, and nothing of it is stored any more.")
    else:
        output.line("Lab ", name, " is down already.")
