# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail app add`: a second launcher of an application, which starts it in a profile."""

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
    """The arguments of `app add`."""
    parser = VerbParser(
        "app add",
        "APPLICATION PROFILE",
        'Adds "Firefox (vpn)" to your menus beside "Firefox": the same application with all its\n'
        "actions and file types, started in the profile, with a badge on its icon. What opens\n"
        "your files and links stays what it was.",
        examples=(
            ("netjail app add firefox vpn", ""),
            ("netjail app remove firefox vpn", ""),
        ),
    )
    application.places(parser, "what it is to start", "where")
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{entry, of, profile, name, file}."""
    from netjail.desktop import entries, pins, places

    places.require_own_home()
    application.require_profile(context, args.profile)
    entry = entries.find(args.application)
    made = pins.add(entry.id, args.profile)
    return Result(
        {
            "entry": made.entry_id,
            "of": made.of,
            "profile": made.profile,
            "name": entries.find(made.entry_id).name,
            "file": pins.file_of(made.entry_id),
        }
    )


def render(data: dict[str, Any], output: Output) -> None:
    """One line."""
    output.line("Your menus have ", Text(data["name"], "bold"), " now.")
