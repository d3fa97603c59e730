# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail use`: the places of a pool of servers, and the change to another."""

from __future__ import annotations

from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text, plural
from netjail.cli.parser import VerbParser, profile_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

DEFAULT_WAIT = 5.0
SHOWN_EACH = 6
"""Places of a country that are listed without --all."""


def parser() -> VerbParser:
    """The arguments of `use`."""
    parser = VerbParser(
        "use",
        "PROFILE [PLACE] [--fastest | --random] | PROFILE --all",
        "Chooses which server of a pool a profile uses (`netjail import DIRECTORY` makes a pool).\n"
        "PLACE is the name of a server, a part of names (se, se-sto, sto) or a country (sweden);\n"
        "of several the first is taken, unless --fastest or --random says otherwise. What runs\n"
        "in the profile goes on running; nothing leaves by another way in between. Without\n"
        "PLACE, lists the places.\n"
        "\n"
        "When a place stays silent, another one that the same PLACE means is taken by itself.",
        examples=(
            ("netjail use mullvad", "list the places"),
            ("netjail use mullvad se", "one in Sweden"),
            ("netjail use mullvad --fastest", "the one that answers first, of at most 32 asked"),
            ("netjail use mullvad us-nyc --random", "any other one in New York"),
        ),
        exits=(("0", "it is in use, or will be at the next `up`"), ("1", "failed")),
    )
    parser.word("profile", metavar="PROFILE", type=profile_name, help="the profile")
    parser.word("place", nargs="?", metavar="PLACE", help="where to")
    parser.option(
        "--fastest", action="store_true", help="measure how soon servers answer, take the first"
    )
    parser.option("--random", action="store_true", help="take any other one")
    parser.option("--all", action="store_true", help="list every place")
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{profile, place, within, places: [{name, country}]} or what the change came to."""
    if args.fastest and args.random:
        raise parser().wrong("either --fastest or --random")
    if args.place is None and not args.fastest and not args.random:
        answer = context.call("places", "listing the places", profile=args.profile)
        return Result(answer | {"all": args.all})
    if args.all:
        raise parser().wrong("--all is for listing")
    if args.place is not None and not args.place.strip():
        raise parser().wrong("PLACE is empty")
    how = "fastest" if args.fastest else "random" if args.random else "first"
    answer = context.call(
        "use",
        f"choosing the place of {args.profile}",
        profile=args.profile,
        place=args.place,
        how=how,
        wait=DEFAULT_WAIT,
    )
    return Result(answer)


def render(data: dict[str, Any], output: Output) -> None:
    """The list with the place in use marked, or what has changed."""
    if "places" in data:
        _list(data, output)
        return
    name = Text(data["profile"], "bold")
    place = Text(data["place"], "bold")
    for item in data["measured"][:5]:
        output.line(f"  {item['seconds'] * 1000:6.0f} ms  {item['place']}")
    if data["state"] == "down":
        output.line(name, " is down, and will use ", place, ".")
    elif data["answered"] is False or data["state"] == "degraded":
        output.line(name, " uses ", place, ", but ", Text("it does not answer yet", "yellow"), ".")
    else:
        output.line(
            name, " uses ", place, "." if data["place"] != data["before"] else " as before."
        )


def _list(data: dict[str, Any], output: Output) -> None:
    groups: dict[str, list[str]] = {}
    for place in data["places"]:
        head = place["country"]
        title = f"{head}  {place['country_name'].title()}" if head else "elsewhere"
        groups.setdefault(title, []).append(place["name"])
    for title, names in sorted(groups.items()):
        output.line(Text(title, "bold"), Text(f"  {plural(len(names), 'place')}", "dim"))
        shown = names if data["all"] else names[:SHOWN_EACH]
        if data["place"] in names and data["place"] not in shown:
            shown = [*shown[:-1], data["place"]]
        for name in shown:
            current = name == data["place"]
            output.line("  * " if current else "    ", Text(name, "green") if current else name)
        if len(names) > len(shown):
            output.line(Text(f"    and {len(names) - len(shown)} more", "dim"))
    output.line()
    using = "uses" if data["state"] != "down" else "is down, and will use"
    output.line(Text(data["profile"], "bold"), f" {using} ", Text(data["place"], "bold"), ".")
