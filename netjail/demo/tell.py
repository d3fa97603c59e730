# SPDX-License-Identifier: GPL-3.0-or-later
"""How the demo speaks: colour, marks, the picture of the stage, the table."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TextIO

PICTURE = """
                                       ┌────────────────────────┐
                                       │ {web:<23}│  a page that says where
                                       │ {web4:<23}│  its visitor comes from
                                       └───────────┬────────────┘
   ┌────────────────┐   the wire   ┌───────────────┴───────────────┐
   │ home, netjail  ├──────────────┤ the internet, and your ISP    │
   │ {home4:<15}│  (recorded)  │ with its resolver {resolver:<12}│
   └────────────────┘              └───────────────┬───────────────┘
                                       ┌───────────┴────────────┐
                                       │ VPN provider           │  a {server} server,
                                       │ {provider:<23}│  and a resolver of its own
                                       └────────────────────────┘
"""

_ASCII = str.maketrans("┌┐└┘│─┬┴├┤✓✗…“”", "++++|-++++v" + 'x.""')
_CODES = {"bold": "1", "dim": "2", "good": "32", "bad": "31", "head": "1;36"}


@dataclass
class Claim:
    """One thing that is shown. `without` and `within`: what was seen outside and in the jail."""

    key: str  # stable, for --json
    text: str
    holds: bool
    without: str = ""
    within: str = ""
    details: list[str] = field(default_factory=list)  # what spoke against it


class Teller:
    """Writes the story to a stream; quiet: not at all (for --json)."""

    def __init__(
        self, stream: TextIO | None = None, *, color: bool | None = None, quiet: bool = False
    ) -> None:
        self._stream = stream if stream is not None else sys.stdout
        if color is None:
            color = (
                self._stream.isatty()
                and not os.environ.get("NO_COLOR")
                and os.environ.get("TERM", "dumb") != "dumb"
            )
        self._color, self._quiet = color, quiet
        encoding = (getattr(self._stream, "encoding", None) or "ascii").lower()
        self._ascii = not encoding.startswith("utf")

    def _paint(self, style: str, text: str) -> str:
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self._color and text else text

    def say(self, text: str = "", style: str | None = None) -> None:
        """A line."""
        if self._quiet:
            return
        if self._ascii:
            text = text.translate(_ASCII)
        self._stream.write((self._paint(style, text) if style else text) + "\n")
        self._stream.flush()

    def head(self, text: str) -> None:
        """The start of a part."""
        self.say()
        self.say(text, "head")

    def picture(self, **words: str) -> None:
        """The stage."""
        self.say(PICTURE.format(**words).strip("\n"))

    def typed(self, command: str) -> None:
        """A command line, as the user would type it."""
        self.say(f"   {self._paint('dim', '$')} {self._paint('bold', command)}")

    def answered(self, text: str) -> None:
        """What a command said."""
        for line in text.rstrip().splitlines():
            self.say(f"   {line}", "dim")

    def _mark(self, holds: bool) -> str:
        return self._paint("good", "✓") if holds else self._paint("bad", "✗")

    def claim(self, claim: Claim) -> None:
        """One claim, on a line of its own."""
        self.say(f" {self._mark(claim.holds)} {claim.text}")
        self._against(claim)

    def _against(self, claim: Claim) -> None:
        if not claim.holds:
            for line in claim.details:
                self.say(f"     {line}", "bad")

    def table(self, head: tuple[str, str], claims: Sequence[Claim]) -> None:
        """Claims with both sides next to each other."""
        first = max(len(c.text) for c in claims) + 2
        second = max(len(head[0]), *(len(c.without) for c in claims)) + 3
        self.say()
        self.say(f"   {'':<{first}}{head[0]:<{second}}{head[1]}", "bold")
        for claim in claims:
            row = f"{claim.text:<{first}}{claim.without:<{second}}{claim.within}"
            self.say(f" {self._mark(claim.holds)} {row}")
            self._against(claim)
