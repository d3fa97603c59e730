# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail profile show`: a profile's text."""

from __future__ import annotations

from netjail.cli.context import Context, Result
from netjail.cli.output import Output
from netjail.cli.parser import VerbParser, profile_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `profile show`."""
    parser = VerbParser(
        "profile show",
        "[--secrets] PROFILE",
        "Prints a profile as it is stored, its keys hidden. For its live network, see\n"
        "`netjail status`.",
        examples=(
            ("netjail profile show vpn", "may be shown to others"),
            ("netjail profile show --secrets vpn", "may not"),
        ),
    )
    parser.word("profile", metavar="PROFILE", type=profile_name, help="the profile")
    parser.option("--secrets", action="store_true", help="print keys too")
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{profile, text}."""
    answer = context.call("profile.get", "reading the profile", name=args.profile)
    text = answer["text"]
    if not args.secrets:
        from netjail.cli.profile_text import mask

        text = mask(text)
    return Result({"profile": args.profile, "text": text})


def render(data: dict[str, Any], output: Output) -> None:
    """The text."""
    output.block(data["text"])
