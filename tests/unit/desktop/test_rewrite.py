# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries made to start in a profile."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netjail.desktop import execline, rewrite
from netjail.desktop.keyfile import KeyFile
from netjail.errors import NetjailError

FIREFOX = b"""\
# from the distribution
[Desktop Entry]
Version=1.0
Name=Firefox
Name[de]=Feuerfuchs
GenericName=Web Browser
Exec=/usr/lib/firefox/firefox %u
Icon=firefox
Icon[de]=feuerfuchs
Type=Application
Categories=Network;WebBrowser;
MimeType=text/html;x-scheme-handler/https;
StartupNotify=true
StartupWMClass=firefox
DBusActivatable=true
Actions=new-window;private;

[Desktop Action new-window]
Name=New Window
Exec=/usr/lib/firefox/firefox --new-window %u

[Desktop Action private]
Name=Private
Exec="/usr/lib/firefox/firefox" --private-window %u
"""


def valid(tmp_path: Path, data: bytes) -> str:
    """What desktop-file-validate has to say."""
    if not shutil.which("desktop-file-validate"):
        pytest.skip("desktop-file-validate is not installed")
    file = tmp_path / "x.desktop"
    file.write_bytes(data)
    done = subprocess.run(["desktop-file-validate", file], capture_output=True, text=True)
    return done.stdout + done.stderr


def test_a_pinned_entry_differs_in_the_lines_that_start_something(tmp_path: Path) -> None:
    pinned = rewrite.pinned(FIREFOX, "vpn")
    old, new = FIREFOX.decode().splitlines(), pinned.decode().splitlines()
    assert [line for line in old if line not in new] == [
        "Exec=/usr/lib/firefox/firefox %u",
        "DBusActivatable=true",
        "Exec=/usr/lib/firefox/firefox --new-window %u",
        'Exec="/usr/lib/firefox/firefox" --private-window %u',
    ]
    assert [line for line in new if line not in old] == [
        "Exec=netjail run --notify vpn -- /usr/lib/firefox/firefox %u",
        "DBusActivatable=false",
        "TryExec=/usr/lib/firefox/firefox",
        "X-Netjail-Profile=vpn",
        "Exec=netjail run --notify vpn -- /usr/lib/firefox/firefox --new-window %u",
        'Exec=netjail run --notify vpn -- "/usr/lib/firefox/firefox" --private-window %u',
    ]
    assert valid(tmp_path, pinned) == ""
    assert rewrite.mark_of(pinned) == "vpn"


def test_an_added_entry_has_a_name_an_icon_and_windows_of_its_own(tmp_path: Path) -> None:
    added = rewrite.added(FIREFOX, "vpn", "netjail.vpn.firefox", "netjail.vpn.firefox")
    main = KeyFile(added).items("Desktop Entry")
    assert main["Name"] == "Firefox (vpn)"
    assert main["Name[de]"] == "Feuerfuchs (vpn)"
    assert main["GenericName"] == "Web Browser"
    assert main["Icon"] == "netjail.vpn.firefox"
    assert "Icon[de]" not in main
    assert main["StartupWMClass"] == "netjail.vpn.firefox"
    assert main["MimeType"] == "text/html;x-scheme-handler/https;"
    assert main["Exec"] == (
        "netjail run --notify vpn -- /usr/lib/firefox/firefox --class netjail.vpn.firefox %u"
    )
    assert KeyFile(added).get("Desktop Action private", "Name") == "Private"
    assert valid(tmp_path, added) == ""


def test_windows_of_a_program_that_takes_no_class_stay_with_the_application() -> None:
    source = b"[Desktop Entry]\nType=Application\nName=Gimp\nExec=gimp %U\nStartupWMClass=Gimp\n"
    main = KeyFile(rewrite.added(source, "vpn", "netjail.vpn.gimp")).items("Desktop Entry")
    assert main["StartupWMClass"] == "Gimp"
    assert main["Exec"] == "netjail run --notify vpn -- gimp %U"


def test_pinning_again_does_not_wrap_twice() -> None:
    again = rewrite.pinned(rewrite.pinned(FIREFOX, "vpn"), "work", "/opt/netjail")
    line = KeyFile(again).get("Desktop Entry", "Exec")
    assert line == "/opt/netjail run --notify work -- /usr/lib/firefox/firefox %u"
    assert rewrite.mark_of(again) == "work"


LINES = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\n\r"), min_size=1
).map(lambda text: text.strip(" \t"))


@given(LINES, st.sampled_from(["netjail", "/opt/my tools/netjail", '/a "b" $c/netjail']))
def test_unwrapping_gives_the_line_back(line: str, program: str) -> None:
    if rewrite.unwrap(line)[0] is None:
        assert rewrite.unwrap(rewrite.wrap(line, "vpn", program)) == ("vpn", line)


@given(st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1))
def test_what_is_quoted_is_one_argument(argument: str) -> None:
    from netjail.desktop import quick

    value = quick.string(rewrite.quote(argument))
    words = [word.text for word in execline.split(value)]
    assert [word.replace("%%", "%") for word in words] == [argument]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("firefox %u", "firefox"),
        ("env A=b C=d firefox %u", "firefox"),
        ("/usr/bin/env A=b /usr/bin/vlc", "/usr/bin/vlc"),
        ('"/opt/a b/run" --x', "/opt/a b/run"),
        ("netjail run --notify vpn -- firefox %u", "firefox"),
        ("env -i firefox", None),
        ("", None),
        ("sh -c 'a b'", "sh"),
    ],
)
def test_the_program_of_a_line(line: str, wanted: str | None) -> None:
    assert rewrite.program(line) == wanted


def test_an_entry_keeps_the_try_exec_that_it_has() -> None:
    source = FIREFOX.replace(b"Type=App", b"TryExec=ff\nType=App")
    assert KeyFile(rewrite.pinned(source, "vpn")).get("Desktop Entry", "TryExec") == "ff"


BUS = b"""\
[Desktop Entry]
Type=Application
Name=App
DBusActivatable=true
Actions=new;gone;

[Desktop Action new]
Name=New
"""


def test_one_that_only_the_bus_starts_gets_its_line_from_there(tmp_path: Path) -> None:
    bus = rewrite.Bus("org.example.App", "/usr/bin/app %U")
    pinned = KeyFile(rewrite.pinned(BUS, "vpn", bus=bus))
    assert pinned.get("Desktop Entry", "Exec") == "netjail run --notify vpn -- /usr/bin/app %U"
    assert pinned.get("Desktop Entry", "Actions") == "new;"
    assert pinned.get("Desktop Action new", "Exec") == (
        "netjail run --notify vpn -- gapplication action org.example.App new"
    )
    added = rewrite.added(BUS, "vpn", "netjail.vpn.org.example.App", bus=bus)
    assert KeyFile(added).get("Desktop Entry", "Actions") is None
    assert valid(tmp_path, pinned.data()) == valid(tmp_path, added) == ""
    with pytest.raises(NetjailError, match="session bus only"):
        rewrite.pinned(BUS, "vpn")


@pytest.mark.parametrize("data", [b"", b"[Desktop Entry]\nType=Link\nName=x\nURL=y\n", b"\xff"])
def test_what_is_no_application_is_refused(data: bytes) -> None:
    with pytest.raises(NetjailError) as caught:
        rewrite.pinned(data, "vpn")
    assert caught.value.code == "no-such-application"


def test_a_service_file_starts_its_program_in_the_profile() -> None:
    source = (
        b"[D-BUS Service]\nName=a.b\nExec=/usr/bin/app --gapplication-service\nSystemdService=x\n"
    )
    assert rewrite.service(source, "vpn").decode() == (
        "[D-BUS Service]\nName=a.b\n"
        "Exec=netjail run --notify vpn -- /usr/bin/app --gapplication-service\n"
    )


def test_a_merge_keeps_what_was_changed_by_hand_and_takes_what_is_new() -> None:
    base = rewrite.pinned(FIREFOX, "vpn")
    changed = base.replace(b"Name=Firefox\n", b"Name=My Firefox\n").replace(
        b"StartupNotify=true\n", b""
    )
    fresh = rewrite.pinned(
        FIREFOX.replace(b"text/html;", b"text/html;image/avif;").replace(
            b"firefox --new-window", b"firefox --fresh"
        ),
        "vpn",
    )
    merged = KeyFile(rewrite.merge(base, changed, fresh))
    main = merged.items("Desktop Entry")
    assert main["Name"] == "My Firefox"
    assert main["MimeType"].startswith("text/html;image/avif;")
    assert "StartupNotify" not in main
    assert merged.get("Desktop Action new-window", "Exec") == (
        "netjail run --notify vpn -- /usr/lib/firefox/firefox --fresh %u"
    )


def test_no_merge_takes_the_profile_away() -> None:
    base = rewrite.pinned(FIREFOX, "vpn")
    changed = (
        base.replace(b"netjail run --notify vpn -- ", b"")
        .replace(b"DBusActivatable=false", b"DBusActivatable=true")
        .replace(b"X-Netjail-Profile=vpn", b"X-Netjail-Profile=no")
    )
    assert rewrite.merge(base, changed, base) == base
    gone = b"\n".join(line for line in base.split(b"\n") if not line.startswith(b"Exec="))
    assert rewrite.merge(base, gone, base) == base


def test_options_added_by_hand_to_a_line_of_ours_stay() -> None:
    base = rewrite.pinned(FIREFOX, "vpn")
    changed = base.replace(
        b"-- /usr/lib/firefox/firefox %u", b"-- /usr/lib/firefox/firefox -P a %u"
    )
    assert rewrite.merge(base, changed, base) == changed


@pytest.mark.skipif(
    not shutil.which("desktop-file-validate"), reason="desktop-file-validate is not installed"
)
def test_of_a_valid_entry_comes_a_valid_one(tmp_path: Path) -> None:
    """All that are installed here."""
    for number, path in enumerate(sorted(Path("/usr/share/applications").glob("*.desktop"))):
        data = path.read_bytes()
        try:
            written = rewrite.pinned(data, "vpn"), rewrite.added(data, "vpn", "netjail.vpn.x", "x")
        except NetjailError:
            continue
        for kind, text in zip(("before", "pinned", "added"), (data, *written), strict=True):
            (tmp_path / kind).mkdir(exist_ok=True)
            (tmp_path / kind / f"x{number}.desktop").write_bytes(text)

    def complaints(kind: str) -> set[str]:
        files = sorted((tmp_path / kind).glob("*.desktop"))
        done = subprocess.run(["desktop-file-validate", *files], capture_output=True, text=True)
        lines = (done.stdout + done.stderr).replace(f"/{kind}/", "/").splitlines()
        return {line for line in lines if "looks the same" not in line}  # of two texts of theirs

    if (tmp_path / "before").exists():
        before = complaints("before")
        assert complaints("pinned") <= before
        assert complaints("added") <= before
