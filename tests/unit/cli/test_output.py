# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines, tables, widths, colour, and nothing that steers a terminal."""

from __future__ import annotations

import io

import pytest

from netjail.cli import output
from netjail.cli.output import Output, Stream, Text
from netjail.errors import NetjailError

EVIL = "a\x1b]0;owned\x07\x9b31m\nb\u202e\x7f\udc9b"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Zürich 東京 👩‍💻", "Zürich 東京 👩‍💻"),
        ("no\u00a0break", "no\u00a0break"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x9b2J", "\\x9b2J"),
        ("\u202eevil", "\\u202eevil"),
        ("\u2028", "\\u2028"),
        ("\udcff", "\\xff"),
        ("\U000e0041", "\\U000e0041"),
        ("\x00\x7f", "\\x00\\x7f"),
    ],
)
def test_clean(text: str, shown: str) -> None:
    assert output.clean(text) == shown
    assert "\x1b" not in output.clean(text)


def test_nothing_gets_through_unclean(screen) -> None:
    seen = screen(60)
    out = seen.output
    out.line(EVIL, Text(EVIL, "bold"))
    out.table((EVIL, "B"), [(EVIL, Text(EVIL, "red"))])
    out.fields([(EVIL, [EVIL, [EVIL, Text(EVIL, "dim")]])])
    out.paragraph(EVIL)
    out.block(EVIL)
    out.help(EVIL)
    out.note(EVIL)
    out.warning(EVIL, EVIL)
    out.error(NetjailError("system", EVIL, EVIL, (EVIL,)))
    text = (seen.out + seen.err).replace("\n", "")
    assert text.isprintable(), text


def test_json_has_no_control_characters(screen) -> None:
    seen = screen(60)
    seen.output.envelope({"name": EVIL}, None)
    assert seen.out.endswith("\n")
    assert seen.out.rstrip("\n").replace("\x7f", "").isprintable()


@pytest.mark.parametrize(
    ("text", "width"), [("abc", 3), ("東京", 4), ("e\u0301", 1), ("👩", 2), ("", 0)]
)
def test_display_width(text: str, width: int) -> None:
    assert output.display_width(text) == width


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 4, "abc…"),
        ("東京都", 5, "東京…"),
        ("東京都", 4, "東…"),
        ("abc", 0, ""),
    ],
)
def test_cut(text: str, width: int, shown: str) -> None:
    assert output.cut(text, width) == shown
    assert output.display_width(shown) <= width


@pytest.mark.parametrize(
    ("terminal", "environ", "colour"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
        (True, {"CLICOLOR": "0"}, False),
        (False, {"CLICOLOR_FORCE": "1"}, True),
        (False, {"CLICOLOR_FORCE": "0"}, False),
        (True, {"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, False),
    ],
)
def test_wants_colour(terminal: bool, environ: dict[str, str], colour: bool) -> None:
    assert output.wants_colour(terminal, environ) is colour


def test_table_plain(screen) -> None:
    seen = screen(None)
    seen.output.table(
        ("NAME", "PID", "NOTE"),
        [("vpn", 7, "x" * 100), (Text("東京", "bold"), 4711, "")],
        right=(1,),
    )
    assert seen.out == (
        "NAME   PID  NOTE\n"  #
        f"vpn      7  {'x' * 100}\n"
        "東京  4711\n"
    )


def test_table_fits_the_terminal(screen) -> None:
    seen = screen(40)
    seen.output.table(
        ("NAME", "STATE", "NOTE"),
        [("a" * 31, "degraded", "note " * 20), ("vpn", "up", "short")],
    )
    lines = seen.out.splitlines()
    assert all(output.display_width(line) <= 40 for line in lines)
    assert lines[1].startswith("aaaaaaaa")
    assert "…" in lines[1]


def test_colour_is_around_clean_text(screen) -> None:
    seen = screen(80, colour=True)
    seen.output.line(Text("up", "green"), " ", output.state_text("degraded"))
    assert seen.out == "\033[32mup\033[0m \033[33mdegraded\033[0m\n"


def test_error_text(screen) -> None:
    seen = screen(None)
    seen.output.error(NetjailError("in-use", "2 programs run in vpn", "Try --kill.", ("a", "b")))
    assert seen.err == "netjail: 2 programs run in vpn:\n  - a\n  - b\n  Try --kill.\n"
    assert seen.out == ""


def test_message_of_several_lines(screen) -> None:
    seen = screen(None)
    seen.output.error(NetjailError("no-helper", "It ended:\n  \x1bwords"))
    assert seen.err == "netjail: It ended:\n    \\x1bwords\n"


def test_ascii_streams_get_ascii() -> None:
    raw = io.BytesIO()
    stream = Stream(io.TextIOWrapper(raw, encoding="ascii"), {})
    stream.line("Zürich")
    stream.flush()
    assert raw.getvalue() == b"Z\\xfcrich\n"
    assert stream.ellipsis == "..."


def test_no_stdout_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    Output().line("nobody reads this")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"),
        (0.9, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (86400, "1 day"),
        (400000, "4 days"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert output.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (1_500_000, "1.43 MiB"),
        (5 * 1024**4, "5.00 TiB"),
        (5 * 1024**5, "5120.00 TiB"),
    ],
)
def test_size(count: int, text: str) -> None:
    assert output.size(count) == text
