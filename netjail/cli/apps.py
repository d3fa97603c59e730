# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail apps`: the applications that can be started by their desktop entry."""

from __future__ import annotations

from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text, plural
from netjail.cli.parser import VerbParser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from netjail.desktop.catalogue import App
    from netjail.desktop.entries import Entry


def parser() -> VerbParser:
    """The arguments of `apps`."""
    parser = VerbParser(
        "apps",
        "[--all] [--json]",
        "Lists the applications of the menu, for `netjail run PROFILE APPLICATION.desktop`.\n"
        "The note says which of them hand over to a copy that runs already, and what netjail\n"
        "does about that.",
        examples=(
            ("netjail apps", ""),
            ("netjail apps --all", "also those that menus do not show, and files left out"),
        ),
    )
    parser.option(
        "--all",
        action="store_true",
        help="also what menus do not show, and why files were left out",
    )
    return parser


def execute(args: Namespace, _context: Context) -> Result:
    """{applications: [...], skipped: [{path, reason}]}"""
    from netjail.desktop import catalogue, entries

    found = entries.scan()
    listed = [entry for entry in found.entries if args.all or entries.shown(entry)]
    listed.sort(key=lambda entry: (entry.name.casefold(), entry.id))
    return Result(
        {
            "applications": [_data(entry, catalogue.by_entry(entry.id)) for entry in listed],
            "skipped": [{"path": s.path, "reason": s.reason} for s in found.skipped],
            "all": args.all,
        }
    )


def _data(entry: Entry, app: App | None) -> dict[str, Any]:
    return {
        "id": entry.id,
        "name": entry.name,
        "comment": entry.comment,
        "path": entry.path,
        "exec": entry.exec,
        "icon": entry.icon,
        "categories": list(entry.categories),
        "mime_types": list(entry.mime_types),
        "actions": [{"id": action.id, "name": action.name} for action in entry.actions],
        "terminal": entry.terminal,
        "kind": "flatpak" if entry.flatpak else "snap" if entry.snap else "program",
        "single": None if app is None else {"finds": app.finds, "helped": _helped(app)},
    }


def _helped(app: App) -> bool:
    return bool(app.apart) or app.finds == "bus"


def render(data: dict[str, Any], output: Output) -> None:
    """A table; the files left out when all was asked for."""
    rows = [
        [Text(each["id"], "bold"), each["name"], each["kind"], _note(each)]
        for each in data["applications"]
    ]
    if rows:
        output.table(("APPLICATION", "NAME", "KIND", "NOTE"), rows)
    else:
        output.line("No applications: there are no desktop entries on this machine.")
    skipped = data["skipped"]
    if skipped and data["all"]:
        output.line()
        output.line("Left out:")
        for each in skipped:
            output.line(f"  {each['path']} {each['reason']}")
    elif skipped:
        output.note(f"{plural(len(skipped), 'file')} left out; `netjail apps --all` says why.")


def _note(each: dict[str, Any]) -> str:
    if each["single"] is None:
        return "view of /etc may be the host's" if each["kind"] == "snap" else ""
    if each["single"]["helped"]:
        return "gets a copy of its own"
    return "refused while it runs outside"
