# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail tray`: the icon in the panel. Not there yet; netjail.desktop is to start it."""

from __future__ import annotations

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
    return VerbParser(
        "tray",
        "",
        "Shows the profiles in the panel. This version does not have that yet.",
        examples=(("netjail tray", ""),),
        json=False,
    )


def execute(_args: Namespace, _context: Context) -> Result:
    """Raises not-yet."""
    raise NetjailError(
        "not-yet",
        "this version of netjail has no tray icon yet",
        "`netjail list` and `netjail status` show the same on a terminal.",
    )


def render(_data: dict[str, Any], _output: Output) -> None:
    """Nothing."""
