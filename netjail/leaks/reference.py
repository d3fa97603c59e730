# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of docs/leak-check.md, made from the table of codes.

What stands between `<!-- findings -->` and `<!-- end -->` is generated: `python3 -m
netjail.leaks.reference docs/leak-check.md` brings it up to date, and a test fails when it is not.
"""

from __future__ import annotations

import re
import sys

from netjail.leaks.codes import CODES, GROUPS

_BLOCK = re.compile(r"(<!-- findings -->\n).*?(<!-- end -->)", re.DOTALL)


def table() -> str:
    """Every finding, by group."""
    done = []
    for group in GROUPS:
        done += [f"\n### {group}\n", "| code | at worst | why it matters | what to do |"]
        done.append("| --- | --- | --- | --- |")
        for code, about in CODES.items():
            if about.group == group:
                cells = (f"`{code}`: {about.title}", about.level, about.why, about.todo)
                done.append("| " + " | ".join(each.replace("|", "\\|") for each in cells) + " |")
    return "\n".join(done) + "\n\n"


def update(text: str) -> str:
    """A document with the table as it should be."""
    return _BLOCK.sub(lambda m: m[1] + table() + m[2], text)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        new = update(file.read())
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(new)
