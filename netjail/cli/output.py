# SPDX-License-Identifier: GPL-3.0-or-later
"""The only renderer: lines, tables and colour on a terminal, plain text elsewhere, or JSON.

Whatever is printed passes through `clean`, so that no profile, program or interface can bring
an escape sequence to the terminal; style is a property of a `Text`, never part of a string.
Imports nothing slow: `json` and `unicodedata` only when they are needed.
"""

from __future__ import annotations

import os
import sys
import time

from netjail import names
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, TextIO

_SGR = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
    "error": "1;31",
    "warning": "1;33",
}

_STATE_STYLE = {
    "up": "green",
    "degraded": "yellow",
    "failed": "red",
    "starting": "cyan",
    "stopping": "cyan",
    "down": "dim",
}

_JOINERS = frozenset("\u200c\u200d")
"""Not printable for Python, harmless, and part of emoji and of some scripts."""

_GAP = "  "


class Text:
    """A piece of text with a style, one of _SGR's names."""

    __slots__ = ("style", "text")

    def __init__(self, text: object, style: str) -> None:
        self.text = str(text)
        self.style = style

    def __str__(self) -> str:
        return self.text


def state_text(state: str) -> Text:
    """A state of a profile in its colour."""
    return Text(state, _STATE_STYLE.get(state, "bold"))


def clean(text: str) -> str:
    """`text` with everything that could steer a terminal shown as an escape (`\\x1b`).

    That is controls (C0, C1, DEL), line ends, bidirectional and other format characters, and
    bytes that were no UTF-8 (as `surrogateescape` brings them).
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _JOINERS else _escape(c) for c in text)


def _escape(char: str) -> str:
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char)
    if named is not None:
        return named
    code = ord(char)
    if char.isspace() and code > 0x9F and code not in (0x2028, 0x2029):
        return char  # no-break space and its kind
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def display_width(text: str) -> int:
    """Columns that `text` (already clean) takes on a terminal."""
    if text.isascii():
        return len(text)
    import unicodedata

    width = 0
    for char in text:
        if unicodedata.category(char) in ("Mn", "Me", "Cf"):
            continue
        width += 2 if unicodedata.east_asian_width(char) in "WF" else 1
    return width


def cut(text: str, width: int, ellipsis: str = "…") -> str:
    """`text` (already clean) in at most `width` columns, its end replaced by `ellipsis`."""
    if display_width(text) <= width:
        return text
    room = max(0, width - len(ellipsis))
    while text and display_width(text) > room:
        text = text[:-1]
    return text + ellipsis[:width]


def wants_colour(terminal: bool, environ: Mapping[str, str]) -> bool:
    """Whether to colour; see no-color.org and bixense.com/clicolors."""
    if environ.get("NO_COLOR"):
        return False
    if environ.get("CLICOLOR_FORCE", "0") not in ("", "0"):
        return True
    return terminal and environ.get("TERM") != "dumb" and environ.get("CLICOLOR") != "0"


def terminal_width(stream: TextIO, environ: Mapping[str, str]) -> int | None:
    """Columns of the terminal behind `stream`, None where it is none."""
    try:
        if not stream.isatty():
            return None
        width = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return None
    columns = environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and int(columns) > 0:
        width = int(columns)
    return width or 80


class OutputLostError(Exception):
    """stdout takes no more: `error` says why (a reader that went away, a full disk)."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


class Stream:
    """One of stdout and stderr, with what may be done on it.

    `needed`: failing to write raises OutputLostError; otherwise nobody listens, never mind.
    """

    def __init__(
        self, stream: TextIO | None, environ: Mapping[str, str], needed: bool = True
    ) -> None:
        self.needed = needed
        # `netjail list >&-`: Python then has no stdout at all
        self.stream: TextIO = (
            stream if stream is not None else open(os.devnull, "w")  # noqa: SIM115
        )
        self.width = terminal_width(self.stream, environ)
        self.terminal = self.width is not None
        self.colour = wants_colour(self.terminal, environ)
        encoding = (getattr(self.stream, "encoding", None) or "ascii").lower()
        self.unicode = encoding.replace("-", "") == "utf8"
        reconfigure = getattr(self.stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")

    def paint(self, part: object) -> str:
        """`part` clean, and in its style where there is colour."""
        text = clean(str(part))
        if self.colour and text and isinstance(part, Text):
            return f"\033[{_SGR[part.style]}m{text}\033[0m"
        return text

    def line(self, *parts: object) -> None:
        """One line made of `parts`, each a Text or something to str()."""
        self.write("".join(map(self.paint, parts)).rstrip(" ") + "\n")

    def write(self, text: str) -> None:
        """`text` as it is: it must be clean, or not meant for a terminal."""
        try:
            self.stream.write(text)
        except OSError as error:
            if self.needed:
                raise OutputLostError(error) from None

    def flush(self) -> None:
        """Hand everything to the kernel."""
        try:
            self.stream.flush()
        except OSError as error:
            if self.needed:
                raise OutputLostError(error) from None

    @property
    def ellipsis(self) -> str:
        """What stands for the cut-off end of a text."""
        return "…" if self.unicode else "..."


class Output:
    """stdout and stderr as the verbs see them. `now`: unix seconds, for relative times."""

    def __init__(
        self,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        environ: Mapping[str, str] | None = None,
        now: float | None = None,
    ) -> None:
        environ = os.environ if environ is None else environ
        self.out = Stream(sys.stdout if stdout is None else stdout, environ)
        self.err = Stream(sys.stderr if stderr is None else stderr, environ, needed=False)
        self.json = False
        self.ask_password = True
        self.verb: str | None = None
        self.now = time.time() if now is None else now

    # text

    def line(self, *parts: object) -> None:
        """One line on stdout."""
        self.out.line(*parts)

    def block(self, text: str) -> None:
        """Lines of a text on stdout; as it is when stdout is no terminal."""
        if not self.out.terminal:
            self.out.write(text if text.endswith("\n") else text + "\n")
            return
        for line in text.rstrip("\n").split("\n"):
            self.out.line(line.expandtabs(4))

    def help(self, text: str) -> None:
        """A text of ours: unindented lines that end with a colon are headings."""
        for line in text.rstrip("\n").split("\n"):
            heading = line.endswith(":") and not line.startswith(" ")
            self.out.line(Text(line, "bold") if heading else line)

    def paragraph(self, text: str, indent: str = "", style: str | None = None) -> None:
        """A text wrapped at the terminal's width, each line indented."""
        for line in self.wrap(text, len(indent)):
            self.out.line(indent, Text(line, style) if style else line)

    def fields(self, rows: Iterable[tuple[str, Sequence[object]]], indent: str = "  ") -> None:
        """Label and values, one value a line; a value may be a list of parts. Empty: no line."""
        rows = [(label, values) for label, values in rows if values]
        width = max((display_width(clean(label)) for label, _ in rows), default=0)
        for label, values in rows:
            for number, value in enumerate(values):
                head = clean(label) if number == 0 else ""
                parts = value if isinstance(value, (list, tuple)) else (value,)
                self.out.line(indent, Text(_pad(head, width), "dim"), _GAP, *parts)

    def table(
        self,
        headers: Sequence[str],
        rows: Sequence[Sequence[object]],
        right: Sequence[int] = (),
        indent: str = "",
    ) -> None:
        """Columns under `headers`; `right` are the ones aligned to the right.

        Cells are one line each. On a terminal what does not fit is cut, the last column first;
        elsewhere nothing is cut.
        """
        cells = [[clean(str(cell)) for cell in row] for row in (headers, *rows)]
        widths = [max(map(display_width, column)) for column in zip(*cells, strict=True)]
        if self.out.width is not None:
            _shrink(widths, self.out.width - len(indent) - len(_GAP) * (len(widths) - 1))
        styles = [["dim"] * len(headers)] + [
            [cell.style if isinstance(cell, Text) else None for cell in row] for row in rows
        ]
        for line, line_styles in zip(cells, styles, strict=True):
            parts: list[object] = [indent]
            for number, (text, style) in enumerate(zip(line, line_styles, strict=True)):
                if self.out.width is not None:
                    text = cut(text, widths[number], self.out.ellipsis)  # noqa: PLW2901
                last = number == len(line) - 1
                padding = " " * (widths[number] - display_width(text))
                if number in right:
                    parts.append(padding)
                parts.append(Text(text, style) if style else text)
                if not last:
                    parts.append(("" if number in right else padding) + _GAP)
            self.out.line(*parts)

    def wrap(self, text: str, used: int) -> list[str]:
        """Clean lines of `text` for a terminal whose first `used` columns are taken."""
        text = clean(text)
        if self.out.width is None:
            return [text]
        room = max(20, self.out.width - used)
        lines = [""]
        for word in text.split(" "):
            longer = f"{lines[-1]} {word}" if lines[-1] else word
            if lines[-1] and display_width(longer) > room:
                lines.append(word)
            else:
                lines[-1] = longer
        return lines

    # messages on stderr

    def note(self, *parts: object) -> None:
        """A line on stderr that is neither warning nor error."""
        self.err.line(*parts)

    def warning(self, message: str, hint: str | None = None) -> None:
        """A warning, on stderr."""
        self.err.line("netjail: ", Text("warning: ", "warning"), message)
        self._hint(hint)
        if "--notify" in sys.argv:
            from netjail.cli import notifying

            notifying.warned(message, hint)

    def error(self, error: NetjailError) -> None:
        """An error: on stderr, or as the envelope on stdout."""
        if self.json:
            self.envelope(None, error)
            return
        message, *more = error.message.split("\n")  # the end of a log may be part of it
        if error.problems:
            message = message.rstrip(".:") + ":"
        elif ". " not in message:
            message = message.rstrip(".")
        self.err.line(Text("netjail: ", "error"), message)
        for line in more:
            self.err.line("  ", line)
        for problem in error.problems:
            self.err.line("  - ", problem)
        self._hint(error.hint)
        if "--notify" in sys.argv:
            from netjail.cli import notifying

            notifying.failed(error.message, error.hint, error.problems)

    def _hint(self, hint: str | None) -> None:
        for line in (hint or "").split("\n"):
            if line:
                self.err.line("  ", line)

    # JSON

    def envelope(self, result: Mapping[str, Any] | None, error: NetjailError | None) -> None:
        """The one JSON line of a verb. With an error there may still be a result: what was
        done before, or apart from, what failed."""
        import json

        envelope: dict[str, object] = {
            "netjail": names.PROTOCOL,
            "verb": self.verb,
            "ok": error is None,
        }
        if result is not None:
            envelope["result"] = result
        if error is not None:
            envelope["error"] = error.as_dict()
        # ensure_ascii: no control character and no lone surrogate gets through
        self.out.write(json.dumps(envelope, ensure_ascii=True) + "\n")


def _pad(text: str, width: int) -> str:
    return text + " " * (width - display_width(text))


def _shrink(widths: list[int], room: int) -> None:
    """Make the columns fit into `room`: the last one first, then whichever is widest."""
    excess = sum(widths) - room
    if excess > 0:
        cutting = min(excess, max(0, widths[-1] - 10))
        widths[-1] -= cutting
        excess -= cutting
    while excess > 0:
        widest = max(range(len(widths)), key=lambda i: widths[i])
        if widths[widest] <= 6:
            return
        widths[widest] -= 1
        excess -= 1


# words for numbers


def duration(seconds: float) -> str:
    """A span of time in one or two units: `12 s`, `3 min`, `2 h 5 min`, `4 days`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86400:
        hours, minutes = divmod(whole // 60, 60)
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days = whole // 86400
    return f"{days} days" if days > 1 else "1 day"


def ago(then: float | None, now: float) -> str:
    """When `then` (unix seconds) was: `3 min ago`; `-` for None."""
    return "-" if then is None else f"{duration(now - then)} ago"


def size(count: int) -> str:
    """Bytes in the units of wg(8): `0 B`, `1.21 KiB`, `340.00 MiB`."""
    if count < 1024:
        return f"{count} B"
    value = float(count)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if value < 1024 or unit == "TiB":
            break
    return f"{value:.2f} {unit}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 program`, `2 programs`, `no programs`."""
    if count == 1:
        return f"1 {one}"
    return f"{count or 'no'} {many or one + 's'}"
