# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail open`: a file or a web page, with your default application, in a profile."""

from __future__ import annotations

import argparse

from netjail.cli.context import Context, Result
from netjail.cli.output import Output
from netjail.cli.parser import VerbParser, profile_name
from netjail.cli.program import EXITS
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `open`."""
    parser = VerbParser(
        "open",
        "[--in PROFILE] URL|FILE",
        "Opens a web page or a file with your default application for it, in a profile's\n"
        "network. Without --in, in the one that the application is pinned to.",
        examples=(
            ("netjail open https://example.net --in vpn", ""),
            ("netjail open report.pdf --in none", ""),
        ),
        exits=EXITS,
        json=False,
    )
    parser.word("target", metavar="FILE", help="what to open: a URL, or a file")
    parser.option(
        "--in", dest="profile", type=profile_name, metavar="PROFILE", help="whose network it gets"
    )
    parser.option(
        "--notify",
        action="store_true",
        help="show errors as notifications too, for launchers that have no terminal",
    )
    parser.option("--via-helper", action="store_true", help=argparse.SUPPRESS)
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """Does not return when all goes well."""
    from netjail.desktop import defaults, pins

    entry = defaults.opener(args.target)
    profile = args.profile or entry.profile or pins.profile_of(entry.id)
    if not profile:
        raise NetjailError(
            "usage",
            f"{entry.name}, which opens this, is not pinned to a profile: say where to open it",
            f"`netjail open --in PROFILE {args.target}`",
        )
    return start(args, context, entry.id, profile)


def start(args: Namespace, context: Context, entry_id: str, profile: str) -> Result:
    """Go on as `netjail run PROFILE ID TARGET` does."""
    from netjail.cli import run
    from netjail.desktop import recent

    options = ["--via-helper"] if args.via_helper else []
    recent.note_recent(entry_id, profile)
    words = [*options, profile, "--", entry_id, args.target]
    return run.execute(run.parser().parse(words), context)


def render(_data: dict[str, Any], _output: Output) -> None:
    """Nothing: stdout is the program's."""
