# SPDX-License-Identifier: GPL-3.0-or-later
"""From an Exec line to the words of a program."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netjail.desktop import entries, execline
from netjail.errors import NetjailError

FILE = "/tmp/a b.txt"
URI = "https://example.net/?a=b&c=%20"


def entry(line: str, actions: tuple[entries.Action, ...] = ()) -> entries.Entry:
    return entries.Entry(
        id="a.desktop", path="/apps/a.desktop", name="The A", generic_name="", comment="",
        icon="pic", exec=line, try_exec="", directory="", actions=actions, mime_types=(),
        categories=(), keywords=(), only_show_in=(), not_show_in=(), terminal=False,
        no_display=False, hidden=False, dbus_activatable=False, startup_notify=False,
        startup_wm_class="", flatpak="", snap="",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a", ["a"]),
        ("  a\t b  ", ["a", "b"]),
        ('"/opt/My App/run" --x', ["/opt/My App/run", "--x"]),
        (r'a "q\"x" "d\$HOME" "b\`" "s\\"', ["a", 'q"x', "d$HOME", "b`", "s\\"]),
        (r'a "keep \n this"', ["a", r"keep \n this"]),
        ('a ""', ["a", ""]),
        ("a 'single quoted $x'", ["a", "single quoted $x"]),
        (r"a out\ side", ["a", "out side"]),
        ('a --name="x y"z', ["a", "--name=x yz"]),
        ("a 100%%", ["a", "100%"]),
        ('"%%%%" a', ["%%", "a"]),
        (
            "a; rm $HOME `b` | c > d & #e",
            ["a;", "rm", "$HOME", "`b`", "|", "c", ">", "d", "&", "#e"],
        ),
        ("a %d %D %n %N %v %m", ["a"]),
        ("a %i", ["a", "--icon", "pic"]),
        ("a --class %c --name=%c", ["a", "--class", "The A", "--name=The A"]),
        ("a %k", ["a", "/apps/a.desktop"]),
        ("a %U", ["a"]),
        ("a %f --", ["a", "--"]),
        ("a --url=%u", ["a", "--url="]),
    ],
)
def test_nothing_to_open(line: str, words: list[str]) -> None:
    assert execline.expand(entry(line), []) == words


@pytest.mark.parametrize(
    ("line", "uris", "words"),
    [
        ("a %u", [URI], ["a", URI]),
        ("a %U -x", [URI, FILE], ["a", URI, "file:///tmp/a%20b.txt", "-x"]),
        ("a %f", [FILE], ["a", FILE]),
        ("a %F", [FILE, "file:///c%20d"], ["a", FILE, "/c d"]),
        ("a %F", ["file://localhost/c"], ["a", "/c"]),
        ('a "%u"', [URI], ["a", URI]),
        ("a --url=%u", [URI], ["a", "--url=" + URI]),
        ("a", [FILE, "-v"], ["a", FILE, "-v"]),
        ("a %U", ["example.org", "--private-window"], ["a", "example.org", "--private-window"]),
        ("a %f", ["no such file"], ["a", "no such file"]),
        ("a %U", ["mailto:x@example.net"], ["a", "mailto:x@example.net"]),
        ("a %U", ["file://server/share"], ["a", "file://server/share"]),
        ("sh -c run %u", [URI], ["sh", "-c", "run", URI]),
    ],
)
def test_something_to_open(line: str, uris: list[str], words: list[str]) -> None:
    assert execline.expand(entry(line), uris) == words


def test_a_relative_path_becomes_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a:b").touch()
    (tmp_path / "-x").touch()
    assert execline.expand(entry("a %F"), ["a:b"]) == ["a", str(tmp_path / "a:b")]
    assert execline.expand(entry("a %U"), ["a:b"]) == ["a", f"file://{tmp_path}/a%3Ab"]
    assert execline.expand(entry("a %U"), ["-x"]) == ["a", "-x"]


def test_one_command_for_each_where_it_takes_but_one() -> None:
    one = entry("a %f")
    assert execline.commands(one, ["/1", "/2"]) == [["a", "/1"], ["a", "/2"]]
    with pytest.raises(NetjailError, match="one file at a time") as caught:
        execline.expand(one, ["/1", "/2"])
    assert caught.value.code == "usage"


def test_what_opens_files_gets_no_address() -> None:
    with pytest.raises(NetjailError, match="opens files only") as caught:
        execline.expand(entry("a %F"), [URI])
    assert caught.value.code == "usage"


def test_an_action_has_a_line_of_its_own() -> None:
    with_action = entry("a %u", (entries.Action("new", "New", "a --new %u", ""),))
    assert execline.expand(with_action, [URI], "new") == ["a", "--new", URI]
    with pytest.raises(NetjailError, match="no action old"):
        execline.expand(with_action, [], "old")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('a "b', "not closed"),
        ("a 'b", "not closed"),
        ("a b\\", "ends with a backslash"),
        ("a %", "single %"),
        ("a %q", "%q is no field code"),
        ("a x%U", "arguments of their own"),
        ("a --i=%i", "arguments of their own"),
        ("%f a", "where the program should"),
        ("   ", "empty"),
        ("", "no command"),
    ],
)
def test_malformed_lines_are_refused(line: str, why: str) -> None:
    with pytest.raises(NetjailError) as caught:
        execline.expand(entry(line), [])
    assert caught.value.code == "no-such-application"
    assert why in caught.value.message


def test_what_is_opened_never_becomes_a_script() -> None:
    script = entry("sh -c 'exec a \"%u\"'")
    assert execline.expand(script, []) == ["sh", "-c", 'exec a ""']
    with pytest.raises(NetjailError, match="script"):
        execline.expand(script, ['x"; rm -rf ~; "'])


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("/usr/lib/firefox-esr/firefox-esr %u", "firefox-esr"),
        ("env A=1 -u B firefox", "B"),  # env's own options are not understood, and harm nobody
        ("env A=1 B=2 /usr/bin/x y", "x"),
        ('"/opt/My App/run"', "run"),
        ('"', ""),
        ("", ""),
        ("env", ""),
    ],
)
def test_the_program_of_a_line(line: str, name: str) -> None:
    assert execline.program(line) == name


def quoted(word: str) -> str:
    """As the specification says that it is written."""
    for char in '\\"`$':
        word = word.replace(char, "\\" + char)
    return '"' + word.replace("%", "%%") + '"'


TEXT = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=20)


@given(st.lists(TEXT, min_size=1, max_size=5))
def test_whatever_is_quoted_by_the_specification_comes_back(words: list[str]) -> None:
    line = " ".join(map(quoted, words))
    assert execline.expand(entry(line), []) == words


@given(st.lists(TEXT, min_size=1, max_size=5))
def test_whatever_a_shell_would_quote_comes_back(words: list[str]) -> None:
    """GLib reads lines so, and entries are written for it."""
    line = shlex.join(words).replace("%", "%%")
    if all(words[:1]):
        assert execline.expand(entry(line), []) == words


@given(TEXT, st.lists(TEXT, max_size=3))
def test_any_line_is_words_or_a_clear_error(line: str, uris: list[str]) -> None:
    try:
        found = execline.commands(entry(line), uris)
    except NetjailError as error:
        assert error.code in ("no-such-application", "usage")
    else:
        assert all(found)
        assert all(isinstance(word, str) for words in found for word in words)


@given(st.lists(TEXT.filter(lambda text: not text.startswith("/")), min_size=1, max_size=3))
def test_what_is_opened_stays_one_word_each(uris: list[str]) -> None:
    try:
        assert len(execline.expand(entry("a %U"), uris)) == 1 + len(uris)
    except NetjailError:
        raise AssertionError("refused") from None
