# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail switch show`: a switch's file."""

from __future__ import annotations

from netjail.cli.context import Context, Result
from netjail.cli.output import Output
from netjail.cli.parser import VerbParser, switch_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `switch show`."""
    parser = VerbParser(
        "switch show",
        "SWITCH",
        "Prints a switch's file. For what is on it now, see `netjail switch status`.",
        examples=(("netjail switch show lab", ""),),
    )
    parser.word("switch", metavar="SWITCH", type=switch_name, help="the switch")
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{switch, text}."""
    answer = context.call("switch.get", "reading the switch", name=args.switch)
    return Result({"switch": args.switch, "text": answer["text"]})


def render(data: dict[str, Any], output: Output) -> None:
    """The text."""
    output.block(data["text"])
