# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail app remove`: second launchers away again."""

from __future__ import annotations

from netjail.cli import application
from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text
from netjail.cli.parser import VerbParser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `app remove`."""
    parser = VerbParser(
        "app remove",
        "APPLICATION PROFILE",
        "Takes a launcher that `netjail app add` made out of your menus. The application itself\n"
        "and the profile stay.",
        examples=(("netjail app remove firefox vpn", ""),),
    )
    application.places(parser, "what it starts", "where")
    return parser


def execute(args: Namespace, _context: Context) -> Result:
    """{entry, kept}."""
    from netjail.desktop import pins, places

    places.require_own_home()
    known = pins.launchers()
    named = [each.of for each in known if each.entry_id == args.application]
    of = named[0] if named else application.find(args.application, [each.of for each in known])
    kept = pins.remove(of, args.profile)
    return Result({"entry": pins.launcher_id(of, args.profile), "kept": kept})


def render(data: dict[str, Any], output: Output) -> None:
    """One line, or two."""
    output.line("Removed ", Text(data["entry"], "bold"), ".")
    if data["kept"]:
        output.line("  It had been changed by hand; that is kept: ", data["kept"])
