# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail app refresh`: our entries after an update of the applications."""

from __future__ import annotations

from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text
from netjail.cli.parser import VerbParser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `app refresh`."""
    return VerbParser(
        "app refresh",
        "[--json]",
        "Makes the entries of pinned applications and added launchers anew where the application\n"
        "was updated, keeping what you have changed in them, and writes those that are missing.\n"
        "`netjail app list` and the tray do the same.",
        examples=(("netjail app refresh", ""),),
    )


def execute(_args: Namespace, _context: Context) -> Result:
    """{updated: [ID], not_in_order: [{entry, text}]}."""
    from netjail.desktop import pins, places

    places.require_own_home()
    states = pins.refresh()
    return Result(
        {
            "updated": [state.entry_id for state in states if state.status == "updated"],
            "not_in_order": [
                {"entry": state.entry_id, "text": state.text}
                for state in states
                if not state.in_order
            ],
        }
    )


def render(data: dict[str, Any], output: Output) -> None:
    """One line for each that needed something."""
    for entry in data["updated"]:
        output.line("Brought up to date: ", Text(entry, "bold"), ".")
    for each in data["not_in_order"]:
        output.warning(f"{each['entry']}: {each['text']}")
    if not data["updated"] and not data["not_in_order"]:
        output.line("All is up to date.")
