# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue of programs with habits, and how a command line is recognised."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from netjail import main, names
from netjail.desktop import catalogue, commands

REPO = Path(__file__).resolve().parents[3]
GOOD: dict[str, Any] = {
    "name": "A", "programs": ["a"], "finds": "directory", "apart": ["{dir}"], "own": ["-d"],
}  # fmt: skip


def test_the_catalogue_is_of_the_right_form() -> None:
    assert len(catalogue.apps()) > 50


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"nmae": "x"}, "nmae: unknown"),
        ({"name": ""}, "name: must be"),
        ({"programs": []}, "programs: must be"),
        ({"programs": ["/usr/bin/a"]}, "is a path"),
        ({"programs": "a"}, "programs: must be"),
        ({"finds": "magic"}, "finds: must be one of"),
        ({"finds": "bus"}, "bus: stands exactly where"),
        ({"bus": "a.b"}, "bus: stands exactly where"),
        ({"apart": ["{home}"]}, "has other braces"),
        ({"entries": ["a"]}, "implied"),
        ({"activated": True}, "stay: missing"),
        ({"own": None}, "own: must be"),
    ],
)
def test_what_is_wrong_in_it_is_named(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        catalogue.read({"a": GOOD | change})


@pytest.mark.parametrize("key", ["name", "programs", "finds"])
def test_what_is_missing_in_it_is_named(key: str) -> None:
    with pytest.raises(ValueError, match=f"{key}: missing"):
        catalogue.read({"a": {k: v for k, v in GOOD.items() if k != key}})


def test_no_two_share_a_program() -> None:
    with pytest.raises(ValueError, match=r"a is also in \[a\]"):
        catalogue.read({"a": GOOD, "b": GOOD | {"name": "B"}})


def test_what_cannot_be_helped_says_why() -> None:
    with pytest.raises(ValueError, match="why: missing"):
        catalogue.read({"a": {"name": "A", "programs": ["a"], "finds": "display"}})


def test_the_launch_path_knows_the_same_programs() -> None:
    """It has a list of its own, since it has no time to read a file."""
    programs = {word for app in catalogue.apps() for word in app.programs}
    programs |= commands._LINKS | {"flatpak", "snap"}
    known = names._HABITS.split()
    assert sorted(known) == sorted(programs), "put these into netjail.names"
    assert all(map(names.has_habits, programs))
    assert not any(map(names.has_habits, ["fire", "refox\nfirefox", "", "curl"]))


@pytest.mark.parametrize(
    "program", ["firefox", "/usr/bin/firefox", "a.desktop", "/x/y.desktop", "Obsidian-1.AppImage"]
)
def test_what_has_habits_takes_the_long_way(program: str) -> None:
    assert main.parse_run(["vpn", program, "x"]) is None
    assert main.parse_run(["vpn", "curl", program]) is not None


def test_everything_else_imports_nothing_of_it() -> None:
    code = (
        "import sys; from netjail import main\n"
        "assert main.parse_run(['vpn', 'curl']) is not None\n"
        "print(*[m for m in sys.modules if m.startswith('netjail') or m in ('xdg', 'tomllib')])"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path.insert(0, {str(REPO)!r}); {code}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) == {"netjail", "netjail.main", "netjail.names"}


@pytest.mark.parametrize(
    ("argv", "kind", "name", "at", "app"),
    [
        (["firefox", "x"], "program", "firefox", 1, "firefox"),
        (["/opt/firefox/firefox-bin"], "program", "firefox-bin", 1, "firefox"),
        (["env", "A=1", "B=2", "chromium", "x"], "program", "chromium", 4, "chromium"),
        (["env", "-i", "chromium"], "program", "env", 1, None),
        (["env"], "program", "env", 1, None),
        (["curl", "firefox"], "program", "curl", 1, None),
        (
            ["/usr/bin/flatpak", "run", "--branch=b", "--command=x", "org.mozilla.firefox", "u"],
            "flatpak", "org.mozilla.firefox", 5, "firefox",
        ),
        (["flatpak", "run", "org.unknown.App//beta"], "flatpak", "org.unknown.App", 3, None),
        (["flatpak", "list"], "program", "flatpak", 1, None),
        (["snap", "run", "firefox"], "snap", "firefox", 3, "firefox"),
        (["/snap/bin/chromium", "u"], "snap", "chromium", 1, "chromium"),
        (["/snap/bin/unknown.sub"], "snap", "unknown", 1, None),
        (["./Obsidian-1.5.3.AppImage"], "appimage", "obsidian", 1, "obsidian"),
        (["/x/Thing-x86_64.AppImage"], "appimage", "thing-x", 1, None),
    ],
)  # fmt: skip
def test_a_command_line_is_recognised(
    argv: list[str], kind: str, name: str, at: int, app: str | None
) -> None:
    found = commands.recognise(argv)
    assert (found.kind, found.name, found.at) == (kind, name, at)
    assert (found.app.id if found.app else None) == app


def test_what_debians_alternatives_lead_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = tmp_path / "firefox-esr"
    browser.touch(0o755)
    (tmp_path / "x-www-browser").symlink_to(browser)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = commands.recognise(["x-www-browser"])
    assert found.app is not None
    assert found.app.id == "firefox"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--profile", "/d"], True),
        (["--profile=/d"], True),
        (["x", "-P", "work"], True),
        (["--profiler"], False),
        (["https://example.net/?-P"], False),
    ],
)
def test_whether_the_user_says_which_copy(words: list[str], says: bool) -> None:
    firefox = catalogue.by_program("firefox")
    assert firefox is not None
    assert firefox.says_own(words) is says
