# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail run --notify`: what a launcher without a terminal has to say reaches the user.

Asked for at the moment of an error only, by the words of this process's own command line: a start
that succeeds pays nothing for it.
"""

from __future__ import annotations

import os
import sys

from netjail import names
from netjail.cli.output import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_EXEC_FAILED = {
    names.EXIT_NOT_EXECUTABLE: "it cannot be executed",
    names.EXIT_NOT_FOUND: "there is no such program",
}


def asked(words: Sequence[str]) -> tuple[str, str] | None:
    """The profile and the program of a command line with --notify; None for any other."""
    if words[:1] == ["open"] and "--notify" in words:
        return "", ""
    if words[:1] != ["run"] or "--notify" not in words:
        return None
    from netjail.cli.program import split

    own, profile, program = split(list(words[1:]))
    if "--notify" not in own:
        return None
    return profile or "", os.path.basename(program[0]) if program else ""


def failed(message: str, hint: str | None = None, problems: Sequence[str] = ()) -> None:
    """Tell of an error, if that is wanted."""
    found = asked(sys.argv[1:])
    if found is None:
        return
    profile, program = found
    title = f"{program or 'An application'} was not started in {profile or 'a profile'}"
    _tell(title, message, hint, problems)


def warned(message: str, hint: str | None) -> None:
    """Tell of a warning, if that is wanted."""
    if asked(sys.argv[1:]) is not None:
        _tell("netjail", message, hint, ())


def ended(status: object) -> None:
    """Tell of a program that could not be executed in this process's own place."""
    if isinstance(status, int) and status in _EXEC_FAILED:
        failed(_EXEC_FAILED[status])


def _tell(title: str, message: str, hint: str | None, problems: Sequence[str]) -> None:
    from netjail.desktop import tell

    lines = [*message.split("\n"), *(f"- {each}" for each in problems), *(hint or "").split("\n")]
    text = "\n".join(clean(line[:1].upper() + line[1:]) for line in lines if line)
    tell.tell(clean(title), text)
