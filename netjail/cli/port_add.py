# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail port add`: a port more for a profile that is up."""

from __future__ import annotations

from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text
from netjail.cli.parser import VerbParser, profile_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `port add`."""
    parser = VerbParser(
        "port add",
        "[--expose] [--udp] [--name NAME] PROFILE LISTEN [TO]",
        "Lets programs of the host reach a service in a profile that is up, at LISTEN: a port of\n"
        "the host's loopback, or address:port. TO is where the service listens inside; without it\n"
        "the same port. With --expose it is the other way round: programs inside reach a service\n"
        "of the host. It lasts as long as the profile is up; what is to last longer stands in its\n"
        "file, as [[forward]] and [[expose]].",
        examples=(
            ("netjail port add lab 9091", "localhost:9091 here is port 9091 in lab"),
            (
                "netjail port add lab 0.0.0.0:8080 80",
                "for the neighbourhood, too (as administrator)",
            ),
            ("netjail port add --expose vpn 11434", "programs in vpn reach the host's port 11434"),
            ("netjail port add --expose vpn 3128 unix:/run/proxy/socket", ""),
        ),
    )
    parser.word("profile", metavar="PROFILE", type=profile_name, help="a profile that is up")
    parser.word("listen", metavar="LISTEN", help="a port, or address:port")
    parser.word("to", nargs="?", metavar="TO", help="a port, address:port, or unix:/path")
    parser.option("--expose", action="store_true", help="from inside to the host")
    parser.option("--udp", action="store_true", help="UDP in place of TCP")
    parser.option("--name", default="", metavar="NAME", help="what `port list` calls it")
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{profile, port: {way, protocol, listen, to, name, ...}, changed}."""
    return Result(
        context.call(
            "port.add",
            f"opening a port of {args.profile}",
            profile=args.profile,
            way="expose" if args.expose else "forward",
            listen=args.listen,
            to=args.to,
            protocol="udp" if args.udp else "tcp",
            name=args.name,
        )
    )


def render(data: dict[str, Any], output: Output) -> None:
    """One sentence."""
    port = data["port"]
    if not data["changed"]:
        output.line("There already: ", *sentence(data["profile"], port))
        return
    output.line(*sentence(data["profile"], port))


def sentence(profile: str, port: dict[str, Any]) -> list[object]:
    """What a port is for."""
    listen = Text(f"{port['protocol']} {port['listen']}", "bold")
    if port["way"] == "forward":
        return [listen, f" on the host leads to {port['to']} in {profile}."]
    return [listen, f" in {profile} leads to {port['to']} on the host."]
