# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail doctor`: whether this machine has what netjail needs."""

from __future__ import annotations

from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text, clean, display_width, plural
from netjail.cli.parser import VerbParser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

_MARKS = {
    "ok": ("✓", "ok", "green"),
    "info": ("·", "info", "dim"),
    "warning": ("!", "warning", "yellow"),
    "error": ("✗", "error", "red"),
}
"""Status to mark on a terminal, word elsewhere, style."""


def parser() -> VerbParser:
    """The arguments of `doctor`."""
    return VerbParser(
        "doctor",
        "[--json]",
        "Checks that this machine has what netjail needs (programs, kernel features, what\n"
        "others do to the network) and says what to do where it does not. Changes nothing.",
        examples=(("netjail doctor", ""),),
        exits=(("0", "no errors; there may be warnings"), ("1", "an error was found")),
    )


def execute(_args: Namespace, context: Context) -> Result:
    """{checks: [...]}; exit 1 when one of them is an error."""
    data = context.call("doctor", "looking at this machine")
    return Result(data, exit=int(any(c["status"] == "error" for c in data["checks"])))


def render(data: dict[str, Any], output: Output) -> None:
    """A line for each check, and what to do below those that want something done."""
    count = dict.fromkeys(_MARKS, 0)
    pretty = output.out.terminal and output.out.unicode
    # three columns: mark, title, and the text with its hint below
    margin = 2 if pretty else 9
    titles = [check["title"] for check in data["checks"]]
    width = max((display_width(clean(title)) for title in titles), default=0)
    for check in data["checks"]:
        status = check["status"] if check["status"] in _MARKS else "info"
        count[status] += 1
        mark, word, style = _MARKS[status]
        head = Text(mark if pretty else word, style)
        space = " " * (margin - len(head.text))
        texts = output.wrap(check.get("text") or "", margin + width + 2)
        title = clean(check["title"])
        for number, line in enumerate(texts):
            if number == 0:
                padding = " " * (width - display_width(title) + 2)
                output.line(head, space, Text(title, "bold"), padding, line)
            else:
                output.line(" " * (margin + width + 2), line)
        for line in (check.get("hint") or "").split("\n"):
            if line and status != "ok":
                output.line(" " * (margin + width + 2), Text(line, "cyan"))
    output.line()
    output.line(
        f"{plural(count['error'], 'error')}, {plural(count['warning'], 'warning')}."
        if count["error"] or count["warning"]
        else "All is well."
    )
