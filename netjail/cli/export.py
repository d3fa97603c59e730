# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail export`: a profile as a wg-quick file."""

from __future__ import annotations

import os
import stat

from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text
from netjail.cli.parser import VerbParser, profile_name
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `export`."""
    parser = VerbParser(
        "export",
        "[-o FILE [--force]] PROFILE",
        "Gives a WireGuard profile back as a file that wg-quick accepts. It holds the private\n"
        "key: the file is readable by its owner alone. Of a pool it is the file of the place in\n"
        "use (`netjail use` chooses another).",
        examples=(
            ("netjail export vpn -o vpn.conf", ""),
            ("netjail export vpn | qrencode -t ansiutf8", "for a telephone"),
        ),
    )
    parser.word("profile", metavar="PROFILE", type=profile_name, help="the profile")
    parser.option("-o", "--output", metavar="FILE", help="where to (default: standard output)")
    parser.option("--force", action="store_true", help="overwrite FILE")
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{profile, file} or, without -o, {profile, text}."""
    text = context.call("profile.get", "reading the profile", name=args.profile)["text"]
    from netjail.profile import places, toml, wgquick

    profile, _warnings = toml.parse(args.profile, text)
    if places.of(profile):  # what another device is to be is the place in use
        chosen = context.call("places", "reading the place", profile=args.profile)["place"]
        profile = places.choose(profile, chosen)
    exported = wgquick.export(profile)
    if args.output is None or args.output == "-":
        return Result({"profile": args.profile, "text": exported})
    write(args.output, exported, args.force)
    return Result({"profile": args.profile, "file": args.output})


def write(path: str, text: str, force: bool) -> None:
    """Put `text` into the new file `path`, mode 0600; with `force` also in place of another.

    Raises `exists`, `usage` or `system`.
    """
    try:
        if force:
            _replace(path, text)
        else:
            _create(path, text)
    except FileExistsError:
        raise NetjailError(
            "exists",
            f"{path} exists already",
            "Choose another name, or overwrite it with --force.",
        ) from None
    except OSError as error:
        raise NetjailError("system", f"cannot write {path}: {error.strerror}") from None


def _replace(path: str, text: str) -> None:
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise NetjailError("usage", f"{path} is not a regular file")
    except FileNotFoundError:
        pass
    temporary = f"{path}.netjail-{os.getpid()}"
    _create(temporary, text)
    try:
        os.rename(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


def _create(path: str, text: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        os.unlink(path)
        raise


def render(data: dict[str, Any], output: Output) -> None:
    """The text itself, or where it is."""
    if "text" in data:
        output.block(data["text"])
        return
    output.line("Wrote ", Text(data["file"], "bold"), ". It holds the private key: keep it safe.")
