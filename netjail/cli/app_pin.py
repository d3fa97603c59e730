# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail app pin`: an application that always starts in a profile."""

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
    """The arguments of `app pin`."""
    parser = VerbParser(
        "app pin",
        "APPLICATION PROFILE",
        "Makes an application start in a profile whenever it is started by its desktop entry:\n"
        "from every menu, dock and file association, with all its actions, and by the session\n"
        "bus. Started on a terminal by the name of its program it is as before. For you alone.\n"
        "\n"
        "Works by an entry in your own directory (~/.local/share/applications), which hides the\n"
        "system's. One that you have there already is put aside, and put back by `app unpin`.",
        examples=(
            ("netjail app pin firefox vpn", ""),
            ("netjail app unpin firefox", "as it was"),
        ),
    )
    application.places(parser, "what to pin", "where it is to start")
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{entry, profile, name, file, bus_name, running: [pid]}."""
    from netjail.desktop import entries, pins, places, watch

    places.require_own_home()
    application.require_profile(context, args.profile)
    entry = entries.find(args.application)
    made = pins.pin(entry.id, args.profile)
    running = [pid for each in watch.look() if each.entry_id == entry.id for pid in each.pids]
    return Result(
        {
            "entry": made.entry_id,
            "profile": made.profile,
            "name": entry.name,
            "file": pins.file_of(made.entry_id),
            "bus_name": made.bus_name or None,
            "running_outside": running,
        }
    )


def render(data: dict[str, Any], output: Output) -> None:
    """What is so from now on, and what is not yet."""
    profile = Text(data["profile"], "bold")
    output.line(Text(data["name"], "bold"), " starts in ", profile, " from now on.")
    if data["running_outside"]:
        output.warning(
            f"{data['name']} runs outside {data['profile']} now",
            "Close it and start it again. Until then it may open new windows outside.",
        )
