# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail app unpin`: pinned applications as they were."""

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
    """The arguments of `app unpin`."""
    parser = VerbParser(
        "app unpin",
        "APPLICATION | --all",
        "Makes a pinned application start as it did before, and puts back an entry of your own\n"
        "that was there. What somebody has changed in ours is kept in a file, which is named.",
        examples=(
            ("netjail app unpin firefox", ""),
            ("netjail app unpin --all", "before netjail is removed"),
        ),
    )
    parser.word(
        "application", metavar="APPLICATION", nargs="?", help="which, as `netjail app list` has it"
    )
    parser.option("--all", action="store_true", help="all that are pinned, and all launchers")
    return parser


def execute(args: Namespace, _context: Context) -> Result:
    """{unpinned: [{entry, profile, kept}], removed: [{entry, of, profile, kept}]}."""
    from netjail.desktop import pins, places

    places.require_own_home()
    if (args.application is None) != args.all:
        raise parser().wrong("name one application, or --all")
    known = pins.pins()
    chosen = known
    if not args.all:
        wanted = application.find(args.application, [pin.entry_id for pin in known])
        chosen = [pin for pin in known if pin.entry_id == wanted]
        if not chosen:
            pins.unpin(wanted)  # raises: it is not pinned
    unpinned = [
        {"entry": pin.entry_id, "profile": pin.profile, "kept": pins.unpin(pin.entry_id)}
        for pin in chosen
    ]
    removed = [
        {
            "entry": each.entry_id,
            "of": each.of,
            "profile": each.profile,
            "kept": pins.remove(each.of, each.profile),
        }
        for each in (pins.launchers() if args.all else ())
    ]
    return Result({"unpinned": unpinned, "removed": removed})


def render(data: dict[str, Any], output: Output) -> None:
    """One line for each."""
    for each in data["unpinned"]:
        output.line(Text(each["entry"], "bold"), " starts as before.")
    for each in data["removed"]:
        output.line("Removed ", Text(each["entry"], "bold"), ".")
    for each in (*data["unpinned"], *data["removed"]):
        if each["kept"]:
            output.line("  It had been changed by hand; that is kept: ", each["kept"])
    if not data["unpinned"] and not data["removed"]:
        output.line("Nothing is pinned.")
