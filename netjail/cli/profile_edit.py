# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail profile edit`: change a profile in an editor."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile

from netjail import names
from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text
from netjail.cli.parser import VerbParser, profile_name
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `profile edit`."""
    parser = VerbParser(
        "profile edit",
        "PROFILE",
        "Opens a profile, keys included, in your editor ($VISUAL, else $EDITOR) and stores it\n"
        "when the editor ends. A text with mistakes is not stored: you are told what is wrong\n"
        "and may go on editing.",
        examples=(
            ("netjail profile edit vpn", ""),
            ("sudo VISUAL='code --wait' netjail profile edit vpn", "with another editor"),
        ),
        exits=(("0", "stored, or nothing was changed"), ("1", "not stored")),
    )
    parser.word("profile", metavar="PROFILE", type=profile_name, help="the profile")
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{profile, changed, warnings}."""
    return edit(context, "profile", args.profile)


def edit(context: Context, noun: str, name: str) -> Result:
    """{NOUN, changed, warnings}. `noun`: what is edited, a profile or a switch."""
    before = context.call(f"{noun}.get", f"reading the {noun}", name=name)["text"]
    command = editor(os.environ)
    directory = _private_directory()
    path = os.path.join(directory, f"{name}.toml")
    keep = False
    try:
        _write(path, before)
        try:
            return _edit(context, noun, name, path, before, command)
        except (NetjailError, KeyboardInterrupt) as error:
            keep = _read(path) not in (before, None)
            if keep and isinstance(error, NetjailError):
                hint = f"Your text is kept in {path}: `netjail {noun} add --replace {path}`."
                raise NetjailError(
                    error.code,
                    error.message,
                    f"{error.hint}\n{hint}" if error.hint else hint,
                    error.problems,
                ) from None
            if keep:
                context.output.note(f"\nYour text is kept in {path}.")
            raise
    finally:
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)


def _edit(  # noqa: PLR0917
    context: Context, noun: str, name: str, path: str, before: str, command: list[str]
) -> Result:
    while True:
        _run_editor([*command, path])
        after = _read(path)
        if after is None:
            raise NetjailError("system", "the editor left no readable file; nothing was changed")
        if after == before:
            return Result({noun: name, "changed": False, "warnings": []})
        try:
            context.call(f"{noun}.check", "checking", name=name, text=after)
        except NetjailError as error:
            if error.code != f"invalid-{noun}":
                raise
            context.output.error(error)
            if context.interactive() and context.confirm("Edit again?", default=True):
                continue
            raise NetjailError(
                error.code, "the changes were not stored", None, error.problems
            ) from None
        now = context.call(f"{noun}.get", f"reading the {noun}", name=name)["text"]
        if now != before:
            raise NetjailError(
                "conflict",
                f"{name} was changed by someone else meanwhile; your changes were not stored",
                f"See the other text with `netjail {noun} show {name}`.",
            )
        answer = context.call(
            f"{noun}.add", f"storing the {noun}", name=name, text=after, replace=True
        )
        warnings = list(answer.get("warnings", ()))
        return Result({noun: name, "changed": True, "warnings": warnings})


def editor(environ: Mapping[str, str]) -> list[str]:
    """The argv of the user's editor. Raises missing-program, usage."""
    for variable in ("VISUAL", "EDITOR"):
        value = environ.get(variable, "").strip()
        if value:
            try:
                return shlex.split(value)
            except ValueError as error:
                raise NetjailError("usage", f"${variable} cannot be read: {error}") from None
    for program in ("sensible-editor", "editor", "nano", "vim", "vi"):
        if shutil.which(program):
            return [program]
    raise NetjailError(
        "missing-program",
        "there is no editor",
        "Install one (apt install nano) or name yours in $EDITOR.",
    )


def _run_editor(argv: list[str]) -> None:
    try:
        status = subprocess.run(argv, check=False).returncode
    except OSError as error:
        raise NetjailError(
            "missing-program",
            f"cannot start the editor {argv[0]}: {error.strerror}",
            "Name another one in $VISUAL or $EDITOR.",
        ) from None
    if status != 0:
        raise NetjailError(
            "system", f"the editor {argv[0]} ended with status {status}; nothing was stored"
        )


def _private_directory() -> str:
    """A new directory of mode 0700, in memory where that is possible."""
    for parent in (names.RUN_DIR, None):
        try:
            return tempfile.mkdtemp(prefix="edit-", dir=parent)
        except OSError as error:
            problem = error
    raise NetjailError("system", f"cannot make a temporary file: {problem.strerror}")


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def render(data: dict[str, Any], output: Output) -> None:
    """What became of it."""
    name = data.get("profile") or data["switch"]
    if not data["changed"]:
        output.line("Nothing was changed.")
        return
    output.line("Stored ", Text(name, "bold"), ".")
    for warning in data["warnings"]:
        output.line(Text("Note: ", "yellow"), warning)
