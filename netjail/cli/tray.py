# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail tray`: the icon in the panel."""

from __future__ import annotations

import os
import threading

from netjail.cli.context import Context, Result
from netjail.cli.output import Output
from netjail.cli.parser import VerbParser
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `tray`."""
    parser = VerbParser(
        "tray",
        "[OPTIONS]",
        "Shows an icon in the panel that tells whether a profile is up, and whether one has\n"
        "failed; its menu starts and stops profiles and applications. It runs until you quit.",
        examples=(
            ("netjail tray", ""),
            ("netjail tray --autostart on", "from now on at each login"),
        ),
        exits=(("0", "ended by Quit, or there is an icon already"), ("1", "there is no tray")),
        json=False,
    )
    parser.option(
        "--autostart", choices=("on", "off"), help="whether to start at login; shows no icon now"
    )
    parser.option(
        "--wait", action="store_true", help="where there is no tray, wait until there is one"
    )
    parser.option(
        "--import",
        action="store_const",
        const="import",
        dest="first",
        help="choose a VPN file to import",
    )
    return parser


def execute(args: Namespace, _context: Context) -> Result:
    """{said: a sentence or None}. Ends when the tray ends."""
    if args.autostart is not None:
        from netjail.tray import autostart

        on = args.autostart == "on"
        word = "starts" if on else "does not start"
        again = " now" if autostart.turn(on) else " already" if on else ""
        return Result({"said": f"netjail{again} {word} at login ({autostart.path()})"})
    if os.geteuid() == 0:
        raise NetjailError(
            "usage",
            "the tray belongs to a desktop session, not to root",
            "Start it as the user who is logged in there: netjail tray",
        )
    try:
        from netjail.tray import app
    except ImportError as error:
        raise NetjailError(
            "missing-program",
            f"the tray needs a Python package that is not installed: {error.name}",
            "On Debian and Ubuntu: apt install python3-gi python3-pydbus python3-pystray "
            "gir1.2-ayatanaappindicator3-0.1",
        ) from None
    threading.Thread(target=_refresh_launchers, daemon=True).start()
    return Result({"said": app.main(args.wait, args.first)})


def _refresh_launchers() -> None:
    """Applications may have been updated since the last session."""
    from netjail.desktop import pins

    try:
        pins.refresh()
    except NetjailError:
        pass  # `netjail app list` says what is wrong


def render(data: dict[str, Any], output: Output) -> None:
    """Why there is no new icon, if so."""
    if data["said"]:
        output.line(data["said"])
