# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail switch edit`: change a switch in an editor."""

from __future__ import annotations

from netjail.cli import profile_edit
from netjail.cli.context import Context, Result
from netjail.cli.output import Output
from netjail.cli.parser import VerbParser, switch_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `switch edit`."""
    parser = VerbParser(
        "switch edit",
        "SWITCH",
        "Opens a switch's file in your editor ($VISUAL, else $EDITOR) and stores it when the\n"
        "editor ends. A text with mistakes is not stored: you are told what is wrong and may go\n"
        "on editing.",
        examples=(("netjail switch edit lab", ""),),
        exits=(("0", "stored, or nothing was changed"), ("1", "not stored")),
    )
    parser.word("switch", metavar="SWITCH", type=switch_name, help="the switch")
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{switch, changed, warnings}."""
    return profile_edit.edit(context, "switch", args.switch)


def render(data: dict[str, Any], output: Output) -> None:
    """What became of it."""
    profile_edit.render(data, output)
