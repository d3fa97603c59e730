# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail switch remove`: delete switches."""

from __future__ import annotations

from netjail.cli.context import Context, Result, collect
from netjail.cli.output import Output, Text
from netjail.cli.parser import VerbParser, switch_name
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `switch remove`."""
    parser = VerbParser(
        "switch remove",
        "[--yes] SWITCH...",
        "Deletes switches. One that is up, because a profile on it is, is kept. Asks first when\n"
        "there is a terminal.",
        examples=(("netjail switch remove lab", ""),),
    )
    parser.word("switches", nargs="+", metavar="SWITCH", type=switch_name, help="what to delete")
    parser.option("-y", "--yes", action="store_true", help="do not ask")
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{removed: [name], members: [profile]}."""
    switches = list(dict.fromkeys(args.switches))
    if not args.yes and context.interactive():
        known = {s["name"] for s in context.call("switch.list", "listing the switches")["switches"]}
        doomed = ", ".join(name for name in switches if name in known)
        if doomed and not context.confirm(f"Delete {doomed}?"):
            return Result({"removed": [], "members": [], "declined": True}, exit=1)
    removed: list[str] = []
    members: list[str] = []
    failures: list[tuple[str, NetjailError]] = []
    for name in switches:
        try:
            members += context.call("switch.remove", f"removing {name}", name=name)["members"]
            removed.append(name)
        except NetjailError as error:
            failures.append((name, error))
    return Result(
        {"removed": removed, "members": sorted(set(members))},
        error=collect(failures, len(switches), "deleted", "switches"),
    )


def render(data: dict[str, Any], output: Output) -> None:
    """One line for each."""
    if data.get("declined"):
        output.line("Nothing was deleted.")
    for name in data["removed"]:
        output.line("Deleted ", Text(name, "bold"), ".")
    if data["members"]:
        output.line(
            Text("Note: ", "yellow"),
            f"{', '.join(data['members'])} cannot go up without, by what their files say.",
        )
