# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail list`: the profiles, one line each."""

from __future__ import annotations

from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text, ago, state_text
from netjail.cli.parser import VerbParser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `list`."""
    return VerbParser(
        "list",
        "[--json]",
        "Lists the profiles: state, kind of uplink (of a pool its place), since when, how many\n"
        "processes run inside. The note is the profile's description, or what is wrong with it.",
        examples=(("netjail list", ""), ("netjail list --json", "for scripts")),
    )


def execute(_args: Namespace, context: Context) -> Result:
    """{profiles: [...]} as the helper has it."""
    return Result(context.call("list", "listing the profiles"))


def render(data: dict[str, Any], output: Output) -> None:
    """A table, or what to do first."""
    profiles = data["profiles"]
    if not profiles:
        output.line("No profiles yet. Make one from the file that your VPN provider gave you:")
        output.line("  netjail import FILE --name vpn")
        return
    output.table(
        ("PROFILE", "STATE", "UPLINK", "SINCE", "PROGRAMS", "NOTE"),
        [_row(profile, output.now) for profile in profiles],
        right=(4,),
    )


def _row(profile: dict[str, Any], now: float) -> list[object]:
    state = profile["state"]
    reason = profile.get("reason")
    programs = profile.get("programs") or 0
    return [
        Text(profile["name"], "bold"),
        state_text(state),
        profile.get("place") or profile.get("kind") or "-",
        ago(profile.get("since"), now) if state != "down" else "-",
        programs or ("-" if state == "down" else 0),
        Text(reason, "yellow") if reason else profile.get("description") or "",
    ]
