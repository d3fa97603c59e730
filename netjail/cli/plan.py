# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail plan`: what `up` would do."""

from __future__ import annotations

from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text
from netjail.cli.parser import VerbParser, profile_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `plan`."""
    parser = VerbParser(
        "plan",
        "PROFILE",
        "Shows what `netjail up` would do now, step by step, each with the command that one\n"
        "would have typed. Changes nothing. Keys are left out.",
        examples=(("netjail plan vpn", ""),),
    )
    parser.word("profile", metavar="PROFILE", type=profile_name, help="the profile")
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{profile, state, steps: [{what, command}]}."""
    return Result(context.call("plan", "making the plan", profile=args.profile))


def render(data: dict[str, Any], output: Output) -> None:
    """Numbered steps with their commands below."""
    name, steps = data["profile"], data["steps"]
    if not steps:
        output.line(f"{name} is {data['state']}: nothing to do.")
        return
    width = len(str(len(steps)))
    for number, step in enumerate(steps, 1):
        output.line(Text(f"{number:>{width}}. ", "dim"), step["what"])
        for line in (step.get("command") or "").split("\n"):
            if line:
                output.line(" " * (width + 2), Text(line, "cyan"))
