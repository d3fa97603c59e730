# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail import` of a directory or .zip: one profile with many places."""

from __future__ import annotations

import os

from netjail.cli import archive, reading
from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text, plural

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

SHOWN = 8
"""Files that are named for each reason; --json has all."""


def execute(args: Namespace, context: Context) -> Result:
    """{profile, places, countries: {code: number}, skipped: [{file, why}], left_out: [{text, why,
    files}], warnings}."""
    from netjail.cli import storing
    from netjail.profile import places, pool

    found = archive.read(args.file)
    name = args.name or reading.name_from(_base(args.file))
    made = pool.build(found.files, args.kind)
    warnings = storing.store(args, context, name, made.uplink)
    skipped = [(each.name, each.why) for each in made.skipped] + found.skipped
    groups = places.by_country(made.uplink.places)
    return Result(
        {
            "profile": name,
            "places": len(made.uplink.places),
            "countries": {head: len(group) for head, group in groups.items()},
            "skipped": [{"file": file, "why": why} for file, why in sorted(skipped)],
            "left_out": [
                {"text": line.text, "why": line.why, "files": count}
                for line, count in made.left_out
            ],
            "warnings": list(dict.fromkeys([*made.warnings, *warnings])),
        }
    )


def _base(path: str) -> str:
    base = os.path.basename(os.path.abspath(path))
    return base[:-4] if base.lower().endswith(".zip") else base


def render(data: dict[str, Any], output: Output) -> None:
    """How many places, what was left out, what to do next."""
    name = data["profile"]
    heads = data["countries"]
    where = f" in {plural(len(heads), 'country', 'countries')}" if len(heads) > 1 else ""
    output.line("Imported ", Text(name, "bold"), f": {plural(data['places'], 'place')}{where}.")
    reasons: dict[str, list[str]] = {}
    for item in data["skipped"]:
        reasons.setdefault(item["why"], []).append(item["file"])
    if reasons:
        output.line()
        output.line(f"Left out {plural(len(data['skipped']), 'file')}:")
        for why, files in reasons.items():
            more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
            output.paragraph(", ".join(files[:SHOWN]) + more, "  ")
            output.paragraph(why, "      ")
    if data["left_out"]:
        output.line()
        output.line("Left out of the files:")
        for item in data["left_out"][:SHOWN]:
            count = plural(item["files"], "file")
            output.line("  ", Text(f"{count}: ", "dim"), item["text"])
            output.paragraph(item["why"], "      ")
        if len(data["left_out"]) > SHOWN:
            output.line(f"  and {len(data['left_out']) - SHOWN} more lines; --json has them all")
    if data["warnings"]:
        output.line()
        for warning in data["warnings"]:
            output.line(Text("Note: ", "yellow"), warning)
    output.line()
    output.line("Choose a place, then run a program there:")
    sudo = "sudo " if "SUDO_UID" in os.environ else ""  # as this command was typed
    head = max(heads, key=lambda each: heads[each])
    output.line("  ", Text(f"{sudo}netjail use {name} {head}", "cyan"))
    output.line("  ", Text(f"{sudo}netjail run {name} curl https://example.net", "cyan"))
