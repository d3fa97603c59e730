# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail import`: a profile from a VPN provider's file."""

from __future__ import annotations

import os

from netjail.cli import reading
from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text
from netjail.cli.parser import VerbParser, profile_name
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `import`."""
    parser = VerbParser(
        "import",
        "[OPTIONS] FILE",
        "Makes a profile from a WireGuard file (wg-quick's format) as VPN providers hand it\n"
        "out. Commands in the file (PostUp and the like) are never executed: what is left\n"
        "out is listed, with the reason.",
        examples=(
            ("netjail import mullvad-se.conf", "the profile is called mullvad-se"),
            ("netjail import wg0.conf --name vpn", "it is called vpn"),
            (
                "netjail import work.conf --through vpn",
                "multi-hop: the tunnel to work uses vpn",
            ),
        ),
        exits=(("0", "the profile is stored"), ("1", "refused; nothing was changed")),
    )
    parser.word("file", metavar="FILE", help="the file; - for standard input")
    parser.option(
        "--name", metavar="NAME", type=profile_name, help="the profile's name (default: the file's)"
    )
    parser.option("--replace", action="store_true", help="replace a profile of that name")
    parser.option("--description", default="", metavar="TEXT", help="shown by `netjail list`")
    parser.option(
        "--through",
        metavar="PROFILE",
        type=profile_name,
        help="send the encrypted packets through this profile's network",
    )
    parser.option(
        "--user",
        action="append",
        default=[],
        metavar="USER",
        dest="users",
        help="who may use the profile (may be given again)",
    )
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{profile, left_out: [{line, text, why}], warnings}."""
    data = reading.read_bytes(args.file)
    name = args.name or reading.name_from(args.file)
    if args.file.lower().endswith(".ovpn"):
        raise NetjailError(
            "not-yet",
            "this is an OpenVPN file; this version of netjail reads WireGuard files only",
            "Most providers offer WireGuard as well: ask for a WireGuard (.conf) file.",
        )
    from dataclasses import replace

    from netjail.profile import toml, wgquick
    from netjail.profile.model import Dns, Profile

    imported = wgquick.parse(wgquick.decode(data))
    profile = Profile(
        name=name,
        uplink=replace(imported.uplink, through=args.through),
        dns=Dns(mode="uplink"),
        description=args.description,
        users=tuple(args.users),
    )
    answer = context.call(
        "profile.add",
        "storing the profile",
        name=name,
        text=toml.dump(profile),
        replace=args.replace,
    )
    left_out = [
        {"line": item.line_no, "text": item.text, "why": item.why} for item in imported.left_out
    ]
    warnings = list(dict.fromkeys([*imported.warnings, *answer.get("warnings", ())]))
    return Result({"profile": name, "left_out": left_out, "warnings": warnings})


def render(data: dict[str, Any], output: Output) -> None:
    """What was left out, what to know, what to do next."""
    name = data["profile"]
    output.line("Imported ", Text(name, "bold"), ".")
    if data["left_out"]:
        output.line()
        output.line("Left out of the file:")
        for item in data["left_out"]:
            output.line("  ", Text(f"line {item['line']}: ", "dim"), item["text"])
            output.paragraph(item["why"], "      ")
    if data["warnings"]:
        output.line()
        for warning in data["warnings"]:
            output.line(Text("Note: ", "yellow"), warning)
    output.line()
    output.line("Run a program in it:")
    sudo = "sudo " if "SUDO_UID" in os.environ else ""  # as this command was typed
    output.line("  ", Text(f"{sudo}netjail run {name} curl https://example.net", "cyan"))
