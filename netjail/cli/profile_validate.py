# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail profile validate`: check profile files. Neither root nor the helper is needed."""

from __future__ import annotations

from netjail import names
from netjail.cli import reading
from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text, plural
from netjail.cli.parser import VerbParser
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `profile validate`."""
    parser = VerbParser(
        "profile validate",
        "FILE...",
        "Checks profile files (TOML) and reports everything that is wrong with them. Needs no\n"
        "root and touches nothing, so it fits into a commit hook.",
        examples=(("netjail profile validate profiles/*.toml", ""),),
        exits=(("0", "all are valid"), ("1", "at least one is not")),
    )
    parser.word("files", nargs="+", metavar="FILE", help="the files; - for standard input")
    return parser


def execute(args: Namespace, _context: Context) -> Result:
    """{files: [{file, ok, problems, warnings}]}."""
    files = [check(path) for path in args.files]
    return Result({"files": files}, exit=int(not all(file["ok"] for file in files)))


def check(path: str) -> dict[str, Any]:
    """What is to be said about one file."""
    from netjail.profile import toml

    found: dict[str, Any] = {"file": path, "ok": True, "problems": [], "warnings": []}
    try:
        text = reading.read(path)
        _profile, warnings = toml.parse(_name(path), text)
        found["warnings"] = list(warnings)
    except NetjailError as error:
        found["ok"] = False
        # `a/b.toml:7: ...`, which editors can follow, in place of the name of a profile
        own = f"{_name(path)}.toml"
        found["problems"] = [
            path + problem.removeprefix(own) if problem.startswith(own) else problem
            for problem in error.problems
        ] or [". ".join(filter(None, (error.message, error.hint)))]
        if path.lower().endswith(".conf"):
            found["problems"].append(
                "It looks like a VPN provider's file: `netjail import` reads those."
            )
    return found


def _name(path: str) -> str:
    """The name for messages: the file's where it is a possible one."""
    stem = path.rsplit("/", 1)[-1].removesuffix(".toml")
    return stem if names.valid_name(stem) else "profile"


def render(data: dict[str, Any], output: Output) -> None:
    """A line for each file, its problems below."""
    for file in data["files"]:
        if file["ok"]:
            output.line(Text(file["file"], "bold"), ": ", Text("valid", "green"))
        else:
            count = plural(len(file["problems"]), "problem")
            output.line(Text(file["file"], "bold"), ": ", Text(count, "red"))
        for problem in file["problems"]:
            for line in problem.split("\n"):
                output.line("  ", line)
        for warning in file["warnings"]:
            output.line("  ", Text("note: ", "yellow"), warning)
