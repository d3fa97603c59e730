# SPDX-License-Identifier: GPL-3.0-or-later
"""What opens what, by mimeapps.list; compared with GIO where that is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from netjail.desktop import defaults, entries
from netjail.errors import NetjailError

HTTPS = "x-scheme-handler/https"


def opener(kind: str) -> str | None:
    installed = {entry.id: entry for entry in entries.scan().entries}
    found = defaults.default_for([kind], installed)
    return None if found is None else found.id


def gio(user, kind: str) -> str | None:
    """The same question to GLib."""
    if not shutil.which("gio"):
        pytest.skip("gio is not installed")
    environment = {
        **os.environ,
        "XDG_DATA_DIRS": str(user.system),
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(
        ["gio", "mime", kind], capture_output=True, text=True, env=environment, check=False
    )
    first = done.stdout.partition("\n")[0]
    return first.rpartition(": ")[2].strip() if first.startswith("Default application") else None


def lists(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def three(user):
    for name in ("a", "b", "c"):
        user.write(
            user.system,
            f"{name}.desktop",
            f"[Desktop Entry]\nType=Application\nName={name}\nExec=true %u\n"
            + ("" if name == "c" else f"MimeType={HTTPS};\n"),
        )
    cache = user.system / "applications" / "mimeinfo.cache"
    cache.write_text(f"[MIME Cache]\n{HTTPS}=a.desktop;b.desktop;\n")
    return user


def test_without_a_choice_the_first_that_can(three) -> None:
    assert opener(HTTPS) == "a.desktop" == gio(three, HTTPS)
    assert opener("x-scheme-handler/gopher") is None


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        (["[Default Applications]", f"{HTTPS}=b.desktop"], "b.desktop"),
        (["[Default Applications]", f"{HTTPS}=gone.desktop;c.desktop;"], "c.desktop"),
        (["[Default Applications]", f"{HTTPS}=gone.desktop;"], "a.desktop"),
        (["[Added Associations]", f"{HTTPS}=c.desktop;"], "c.desktop"),
        (["[Removed Associations]", f"{HTTPS}=a.desktop;"], "b.desktop"),
    ],
)
def test_what_the_user_has_chosen(three, lines: list[str], wanted: str) -> None:
    lists_of_user = three.root / "config" / "mimeapps.list"
    lists(lists_of_user, *lines)
    assert opener(HTTPS) == wanted == gio(three, HTTPS)


def test_the_order_of_the_lists(three, monkeypatch: pytest.MonkeyPatch) -> None:
    head = "[Default Applications]"
    applications = three.system / "applications" / "mimeapps.list"
    lists(applications, head, f"{HTTPS}=b.desktop")
    assert opener(HTTPS) == "b.desktop" == gio(three, HTTPS)
    lists(three.root / "xdg" / "mimeapps.list", head, f"{HTTPS}=c.desktop")
    assert opener(HTTPS) == "c.desktop" == gio(three, HTTPS)
    lists(three.root / "config" / "mimeapps.list", head, f"{HTTPS}=b.desktop")
    assert opener(HTTPS) == "b.desktop" == gio(three, HTTPS)
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", "XFCE")
    lists(three.root / "config" / "xfce-mimeapps.list", head, f"{HTTPS}=a.desktop")
    assert opener(HTTPS) == "a.desktop" == gio(three, HTTPS)


def test_kinds(user, monkeypatch: pytest.MonkeyPatch) -> None:
    file = user.root / "notes.txt"
    file.write_text("hello\n")
    monkeypatch.chdir(user.root)
    assert defaults.kinds_of("HTTPS://example.net") == [HTTPS]
    assert defaults.kinds_of("mailto:a@b") == ["x-scheme-handler/mailto"]
    assert defaults.kinds_of(str(user.root)) == ["inode/directory"]
    assert "text/plain" in defaults.kinds_of("notes.txt")
    assert defaults.kinds_of(file.as_uri()) == defaults.kinds_of("notes.txt")


@pytest.mark.parametrize("target", ["example.org", "/no/such/file", "file://other/x"])
def test_what_cannot_be_opened(user, target: str) -> None:
    with pytest.raises(NetjailError) as caught:
        defaults.kinds_of(target)
    assert caught.value.code == "usage"
