# SPDX-License-Identifier: GPL-3.0-or-later
"""What the verbs on applications share: which one is meant, and whether a profile exists."""

from __future__ import annotations

from netjail.cli.context import Context
from netjail.cli.parser import VerbParser, profile_name
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def places(parser: VerbParser, what: str, profile: str | None) -> None:
    """The arguments APPLICATION and, if `profile` says what it is for, PROFILE."""
    parser.word(
        "application",
        metavar="APPLICATION",
        help=f"{what}: a desktop file ID (firefox.desktop), the name in the menu, or the program",
    )
    if profile is not None:
        parser.word("profile", metavar="PROFILE", type=profile_name, help=profile)


def find(word: str, known: Iterable[str] = ()) -> str:
    """The desktop file ID that is meant. `known`: IDs that are meant first, also those of
    applications that are not installed any more. Raises `no-such-application`."""
    ids = list(known)
    for name in (word, word + ".desktop"):
        if name in ids:
            return name
    from netjail.desktop import entries

    try:
        return entries.find(word).id
    except NetjailError:
        short = [each for each in ids if each.split(".")[-2].lower() == word.lower()]
        if len(short) == 1:
            return short[0]
        raise


def profiles(context: Context) -> set[str] | None:
    """The profiles that there are; None where no helper can say so."""
    try:
        found = context.call("list", "listing the profiles")
    except NetjailError as error:
        if error.code in ("interrupted", "internal"):
            raise
        return None
    return {each["name"] for each in found["profiles"]}


def require_profile(context: Context, profile: str) -> None:
    """Raise `no-such-profile` where it is known that there is none of that name."""
    known = profiles(context)
    if known is None or profile in known:
        return
    from netjail.cli.verbs import suggest

    near = suggest(profile, known)
    raise NetjailError(
        "no-such-profile",
        f"there is no profile {profile}",
        f"Did you mean {near}?" if near else "`netjail list` shows the profiles.",
    )
