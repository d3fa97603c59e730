# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail app list`: what starts where, and whether all is in order."""

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
    """The arguments of `app list`."""
    return VerbParser(
        "app list",
        "[--json]",
        "Lists the applications that are pinned to a profile and the launchers that were added,\n"
        "and whether they are in order: the application still installed, the profile still\n"
        "there, the entry as we wrote it, nothing of it running outside. An application that\n"
        "was updated gets its entry brought up to date.",
        examples=(("netjail app list", ""), ("netjail app list --json", "for scripts")),
    )


def execute(_args: Namespace, context: Context) -> Result:
    """{applications: [{kind, entry, of, name, profile, status, in_order, text, file, outside}]}."""
    from netjail.desktop import pins, places, watch

    places.require_own_home()
    states = pins.refresh(application.profiles(context) if _any(pins) else None)
    found: dict[str, list[watch.Outside]] = {}
    for each in watch.look():
        found.setdefault(each.entry_id, []).append(each)
    return Result(
        {
            "applications": [
                {
                    "kind": state.kind,
                    "entry": state.entry_id,
                    "of": state.of,
                    "name": state.name,
                    "profile": state.profile,
                    "status": state.status,
                    "in_order": state.in_order,
                    "text": state.text or None,
                    "file": state.file,
                    "outside": [
                        {"where": each.where or None, "pids": list(each.pids)}
                        for each in found.get(state.entry_id, ())
                    ],
                }
                for state in states
            ]
        }
    )


def _any(pins: Any) -> bool:
    return bool(pins.pins() or pins.launchers())


def render(data: dict[str, Any], output: Output) -> None:
    """A table, or what to do first."""
    found = data["applications"]
    if not found:
        output.line("No application has a profile of its own yet. For example:")
        output.line("  netjail app pin firefox vpn      it always starts there")
        output.line('  netjail app add firefox vpn      "Firefox (vpn)" beside it')
        return
    output.table(
        ("APPLICATION", "PROFILE", "KIND", "ENTRY", "NOTE"), [_row(each) for each in found]
    )


def _row(each: dict[str, Any]) -> list[object]:
    note: object = each["text"] or ""
    if each["outside"]:
        pids = [pid for group in each["outside"] for pid in group["pids"]]
        note = Text(f"runs outside (pid {', '.join(map(str, pids))})", "red")
    elif not each["in_order"]:
        note = Text(note, "yellow")
    kind = "pinned" if each["kind"] == "pin" else "added"
    return [Text(each["name"], "bold"), each["profile"], kind, each["entry"], note]
