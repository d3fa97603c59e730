# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail import`: a profile from a VPN provider's file, or a pool of servers from many."""

from __future__ import annotations

import base64
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
        "[OPTIONS] FILE | DIRECTORY | ZIP",
        "Makes a profile from a WireGuard file (wg-quick's format), one of AmneziaWG, or an\n"
        "OpenVPN file (.ovpn), as VPN providers hand them out, and from the files that it\n"
        "names. Commands in the file (PostUp, up and the like) are never executed: what is left\n"
        "out is listed, with the reason.\n"
        "\n"
        "A directory or .zip with many such files becomes one profile with many places, among\n"
        "which `netjail use` chooses.",
        examples=(
            ("netjail import mullvad-se.conf", "the profile is called mullvad-se"),
            ("netjail import wg0.conf --name vpn", "it is called vpn"),
            ("netjail import office.ovpn --name work", "OpenVPN; asks for a password at `up`"),
            ("netjail import mullvad.zip --name mullvad", "all servers of a provider in one"),
            (
                "netjail import work.conf --through vpn",
                "multi-hop: the tunnel to work uses vpn",
            ),
        ),
        exits=(("0", "the profile is stored"), ("1", "refused; nothing was changed")),
    )
    parser.word("file", metavar="FILE", help="the file; - for standard input")
    parser.option(
        "--kind",
        choices=("wireguard", "amneziawg", "openvpn"),
        help="of a directory or .zip that has both: which to take (default: what most are)",
    )
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
    """{profile, left_out: [{line, text, why}], warnings}; of a pool see `import_pool`."""
    if args.file != "-":
        from netjail.cli import archive

        if archive.is_pool(args.file):
            from netjail.cli import import_pool

            return import_pool.execute(args, context)
    if args.kind is not None:
        raise parser().wrong("--kind is for a directory or a .zip with many files")
    data = reading.read_bytes(args.file)
    name = args.name or reading.name_from(args.file)
    from netjail.cli import storing
    from netjail.profile import ovpn, wgquick

    text = wgquick.decode(data)
    imported: wgquick.Imported | ovpn.Imported
    if ovpn.looks_like(text):
        imported = ovpn.parse(text, _side_files(args.file, ovpn.side_files(text)))
    else:
        imported = wgquick.parse(text)
    found = storing.store(args, context, name, imported.uplink)
    left_out = [
        {"line": item.line_no, "text": item.text, "why": item.why} for item in imported.left_out
    ]
    warnings = list(dict.fromkeys([*imported.warnings, *found]))
    return Result({"profile": name, "left_out": left_out, "warnings": warnings})


def _side_files(path: str, named: dict[str, bool]) -> dict[str, str]:
    """The texts of the files that an OpenVPN file names, those that can be read; with the rights
    of whoever calls. Relative names are looked for beside the file.

    What would be sent to a server is read from there alone: a file that was made by somebody else
    must not be able to name whatever of the caller's it likes.
    """
    if path == "-":
        return {}
    directory = os.path.dirname(os.path.abspath(path))
    found = {}
    for name, sent in named.items():
        whole = os.path.join(directory, os.path.expanduser(name))
        beside = os.path.dirname(os.path.realpath(whole)) == os.path.realpath(directory)
        if sent and not beside:
            continue
        try:
            data = reading.read_bytes(whole, binary=True)
        except NetjailError:
            continue  # the import says what is missing
        try:
            found[name] = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            found[name] = base64.b64encode(data).decode()  # PKCS #12
    return found


def render(data: dict[str, Any], output: Output) -> None:
    """What was left out, what to know, what to do next."""
    if "places" in data:
        from netjail.cli import import_pool

        import_pool.render(data, output)
        return
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
