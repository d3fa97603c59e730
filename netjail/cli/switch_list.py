# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail switch list`: the switches, one line each."""

from __future__ import annotations

from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text, state_text
from netjail.cli.parser import VerbParser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `switch list`."""
    return VerbParser(
        "switch list",
        "[--json]",
        "Lists the switches: whether one is up (it is while a profile on it is), what does the\n"
        "switching, and how many ports it has.",
        examples=(("netjail switch list", ""),),
    )


def execute(_args: Namespace, context: Context) -> Result:
    """{switches: [...]} as the helper has it."""
    return Result(context.call("switch.list", "listing the switches"))


def render(data: dict[str, Any], output: Output) -> None:
    """A table, or what to do first."""
    switches = data["switches"]
    if not switches:
        output.line("No switches yet. `netjail switch add --help` shows how to make one.")
        return
    output.table(
        ("SWITCH", "STATE", "ENGINE", "PORTS", "NOTE"),
        [_row(switch) for switch in switches],
        right=(3,),
    )


def _row(switch: dict[str, Any]) -> list[object]:
    reason = switch.get("reason")
    return [
        Text(switch["name"], "bold"),
        state_text(switch["state"]),
        switch.get("engine") or "-",
        switch["ports"] if switch["state"] == "up" else "-",
        Text(reason, "yellow") if reason else switch.get("description") or "",
    ]
