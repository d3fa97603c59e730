# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins and launchers on disk: what is written where, and that all of it can be taken back."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netjail.desktop import appsfile, badge, defaults, entries, pins, rewrite
from netjail.desktop.keyfile import KeyFile
from netjail.errors import NetjailError

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360f8cfc000000301010018dd8db00000000049454e44ae426082"
)
APP = "[Desktop Entry]\nType=Application\nName=App\nExec=true %U\nMimeType=text/x-app;\n"


def tree(root: Path) -> dict[str, tuple[bytes, int]]:
    """All files below a directory: what is in them, and which inode (links by their targets)."""
    return {
        str(path.relative_to(root)): (
            os.readlink(path).encode() if path.is_symlink() else path.read_bytes(),
            path.lstat().st_ino,
        )
        for path in root.rglob("*")
        if path.is_file() or path.is_symlink()
    }


def states(**words: object) -> dict[str, str]:
    return {state.entry_id: state.status for state in pins.refresh(**words)}  # type: ignore[arg-type]


def test_a_pinned_application_is_the_one_that_menus_find(user) -> None:
    user.write(user.system, "app.desktop", APP)
    pins.pin("app.desktop", "vpn")
    entry = entries.find("app")
    assert entry.path == str(user.home / "applications" / "app.desktop")
    assert (entry.profile, entry.exec) == ("vpn", "true %U")
    assert rewrite.mark_of(Path(entry.path).read_bytes()) == "vpn"
    assert pins.profile_of("app.desktop") == "vpn"
    assert [(p.entry_id, p.profile) for p in pins.pins()] == [("app.desktop", "vpn")]
    assert states() == {"app.desktop": "ok"}


def test_the_pinned_application_still_opens_its_files(user) -> None:
    """An entry of the user's hides the system's, and what the system's cache says of it."""
    user.write(user.system, "app.desktop", APP)
    pins.pin("app.desktop", "vpn")
    cache = KeyFile((user.home / "applications" / "mimeinfo.cache").read_bytes())
    assert cache.get("MIME Cache", "text/x-app") == "app.desktop;"


def test_unpinning_leaves_nothing_behind(user) -> None:
    user.write(user.system, "app.desktop", APP)
    before = tree(user.home)
    pins.pin("app.desktop", "vpn")
    assert tree(user.home) != before
    assert pins.unpin("app.desktop") is None
    assert tree(user.home) == before
    assert pins.pins() == []
    with pytest.raises(NetjailError, match="is not pinned"):
        pins.unpin("app.desktop")


ANY = st.binary(max_size=60).map(lambda data: data.replace(b"\n[", b"\n"))
OWN = st.builds(
    lambda head, tail: head + APP.encode() + tail,
    st.sampled_from([b"", b"# mine\n", b"\xef\xbb\xbf", b"\n\n"]),
    ANY,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(OWN, st.booleans())
def test_an_own_entry_comes_back_byte_for_byte(user, data: bytes, again: bool) -> None:
    shutil.rmtree(user.home, ignore_errors=True)
    user.write(user.home, "app.desktop", data)
    before = tree(user.home)
    pins.pin("app.desktop", "vpn")
    if again:
        pins.pin("app.desktop", "work")
        pins.refresh()
    now = KeyFile((user.home / "applications" / "app.desktop").read_bytes())
    assert rewrite.unwrap(now.get("Desktop Entry", "Exec") or "")[0] == ("work" if again else "vpn")
    pins.unpin("app.desktop")
    assert {k: v for k, v in tree(user.home).items() if "mimeinfo" not in k} == before


def test_an_own_entry_that_is_a_link_comes_back_as_one(user, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.desktop").write_text(APP)
    link = user.home / "applications" / "app.desktop"
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "elsewhere.desktop")
    pins.pin("app.desktop", "vpn")
    assert not link.is_symlink()
    assert (tmp_path / "elsewhere.desktop").read_text() == APP
    pins.unpin("app.desktop")
    assert os.readlink(link) == str(tmp_path / "elsewhere.desktop")


def test_an_own_entry_in_a_directory_is_replaced_there(user) -> None:
    user.write(user.home, "kde/app.desktop", APP)
    pins.pin("kde-app.desktop", "vpn")
    assert entries.find("kde-app").path.endswith("/applications/kde/app.desktop")
    pins.unpin("kde-app.desktop")
    assert (user.home / "applications/kde/app.desktop").read_text() == APP


def test_an_update_of_the_application_is_taken_over(user) -> None:
    source = user.write(user.system, "app.desktop", APP)
    pins.pin("app.desktop", "vpn")
    source.write_text(APP.replace("true", "false --new"))
    assert states(mend=False) == {"app.desktop": "outdated"}
    assert states() == {"app.desktop": "updated"}
    assert entries.find("app").exec == "false --new %U"
    assert entries.find("app").profile == "vpn"
    assert states() == {"app.desktop": "ok"}


def test_what_was_changed_by_hand_survives_an_update_and_an_unpin(user) -> None:
    source = user.write(user.system, "app.desktop", APP)
    pins.pin("app.desktop", "vpn")
    ours = user.home / "applications" / "app.desktop"
    ours.write_bytes(ours.read_bytes().replace(b"Name=App", b"Name=Mine"))
    assert states() == {"app.desktop": "changed"}
    source.write_text(APP.replace("true", "false"))
    assert states() == {"app.desktop": "updated"}
    entry = entries.find("app.desktop")
    assert (entry.name, entry.exec, entry.profile) == ("Mine", "false %U", "vpn")
    kept = pins.unpin("app.desktop")
    assert kept is not None
    assert b"Name=Mine" in Path(kept).read_bytes()
    assert not ours.exists()


def test_an_entry_that_an_application_writes_itself_is_pinned_again(user) -> None:
    """As Telegram does at each start."""
    user.write(user.home, "app.desktop", APP)
    pins.pin("app.desktop", "vpn")
    newer = APP.replace("true", "false")
    user.write(user.home, "app.desktop", newer)
    assert states() == {"app.desktop": "updated"}
    assert entries.find("app").profile == "vpn"
    pins.unpin("app.desktop")
    assert (user.home / "applications/app.desktop").read_text() == newer


def test_one_that_was_deleted_is_written_again(user) -> None:
    user.write(user.system, "app.desktop", APP)
    pins.pin("app.desktop", "vpn")
    (user.home / "applications" / "app.desktop").unlink()
    assert states(mend=False) == {"app.desktop": "missing"}
    assert states() == {"app.desktop": "updated"}
    assert entries.find("app").profile == "vpn"


def test_a_profile_or_an_application_that_is_gone_is_told(user) -> None:
    source = user.write(user.system, "app.desktop", APP)
    pins.pin("app.desktop", "vpn")
    assert states(profiles=["vpn"]) == {"app.desktop": "ok"}
    assert states(profiles=["lab"]) == {"app.desktop": "profile-gone"}
    source.unlink()
    assert states() == {"app.desktop": "source-gone"}
    pins.unpin("app.desktop")
    assert not (user.home / "applications" / "app.desktop").exists()


def test_a_broken_record_takes_nothing_away(user) -> None:
    """Interrupted between the file and the record, both ways."""
    user.write(user.home, "app.desktop", APP)
    pins.pin("app.desktop", "vpn")
    record = appsfile.load()
    pins.unpin("app.desktop")
    appsfile.save(record)  # as if that had not been reached
    pins.unpin("app.desktop")
    assert (user.home / "applications/app.desktop").read_text() == APP


SERVICE = "[D-BUS Service]\nName=org.example.App\nExec=/usr/bin/app --gapplication-service\n"


def test_the_session_bus_starts_it_in_the_profile_too(user) -> None:
    user.write(user.system, "org.example.App.desktop", APP + "DBusActivatable=true\n")
    theirs = user.system / "dbus-1" / "services" / "org.example.App.service"
    theirs.parent.mkdir(parents=True)
    theirs.write_text(SERVICE)
    assert pins.pin("org.example.App.desktop", "vpn").bus_name == "org.example.App"
    ours = user.home / "dbus-1" / "services" / "org.example.App.service"
    assert "\nExec=netjail run --notify vpn -- /usr/bin/app --gapp" in ours.read_text()
    theirs.write_text(SERVICE.replace("app", "app2"))
    assert states() == {"org.example.App.desktop": "updated"}
    assert "-- /usr/bin/app2" in ours.read_text()
    pins.unpin("org.example.App.desktop")
    assert not ours.exists()


# launchers


def test_a_launcher_stands_beside_the_application(user) -> None:
    user.write(user.system, "app.desktop", APP)
    made = pins.add("app.desktop", "vpn")
    assert made.entry_id == "netjail.vpn.app.desktop"
    assert entries.find("app.desktop").profile == ""
    assert entries.find("App (vpn)").profile == "vpn"
    assert pins.remove("app.desktop", "vpn") is None
    assert tree(user.home) == {}


def test_a_launcher_is_made_of_the_application_and_not_of_its_pin(user) -> None:
    user.write(user.system, "app.desktop", APP)
    pins.pin("app.desktop", "vpn")
    pins.add("app.desktop", "work")
    entry = entries.find("netjail.work.app")
    assert (entry.profile, entry.exec) == ("work", "true %U")
    with pytest.raises(NetjailError, match="a launcher that starts in a profile already"):
        pins.pin("netjail.work.app.desktop", "vpn")


def test_a_short_name_means_the_application_and_not_its_launchers(user) -> None:
    user.write(user.system, "org.example.Maps.desktop", APP)
    pins.add("org.example.Maps.desktop", "vpn")
    pins.add("org.example.Maps.desktop", "work")
    assert entries.find("maps").id == "org.example.Maps.desktop"
    assert entries.find("true").id == "org.example.Maps.desktop"
    pins.pin("org.example.Maps.desktop", "vpn")
    assert entries.find("maps").id == "org.example.Maps.desktop"


def test_a_launcher_does_not_become_what_opens_files(user) -> None:
    user.write(user.system, "app.desktop", APP)
    lists = user.home / "applications" / "mimeapps.list"
    pins.add("app.desktop", "vpn")
    installed = {entry.id: entry for entry in entries.scan().entries}
    assert defaults.default_for(["text/x-app"], installed).id == "app.desktop"
    assert KeyFile(lists.read_bytes()).items("Default Applications") == {
        "text/x-app": "app.desktop;"
    }
    pins.remove("app.desktop", "vpn")
    assert not lists.exists()


def test_its_icon_has_a_badge(user, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = user.root / "app.png"
    picture.write_bytes(PNG)
    user.write(user.system, "app.desktop", APP + f"Icon={picture}\n")
    pins.add("app.desktop", "vpn")
    assert entries.find("netjail.vpn.app").icon == "netjail.vpn.app"
    icons = {p.parts[-3] for p in (user.home / "icons/hicolor").rglob("netjail.vpn.app.svg")}
    assert icons == {"scalable", *(f"{size}x{size}" for size in badge.SIZES)}
    pins.remove("app.desktop", "vpn")
    assert tree(user.home) == {}


def test_an_icon_that_cannot_carry_a_badge_stays_as_it_is(user) -> None:
    user.write(user.system, "app.desktop", APP + "Icon=no-such-icon\n")
    pins.add("app.desktop", "vpn")
    assert entries.find("netjail.vpn.app").icon == "no-such-icon"


# whose


def test_sudo_is_sent_back_to_the_user(user, monkeypatch: pytest.MonkeyPatch) -> None:
    user.write(user.system, "app.desktop", APP)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", "1000")
    with pytest.raises(NetjailError, match="sudo has made you root"):
        pins.pin("app.desktop", "vpn")
    assert tree(user.home) == {}


@pytest.mark.parametrize("name", ["app", "../app.desktop", "a\nb.desktop", "gone.desktop"])
def test_what_is_no_application_is_refused(user, name: str) -> None:
    with pytest.raises(NetjailError) as caught:
        pins.pin(name, "vpn")
    assert caught.value.code == "no-such-application"


def test_what_was_started_lately_is_remembered(user) -> None:
    pins.note_recent("a.desktop", "vpn")
    pins.note_recent("b.desktop", "lab")
    pins.note_recent("a.desktop", "vpn")
    assert [(e.entry_id, e.profile) for e in pins.recent()] == [
        ("a.desktop", "vpn"),
        ("b.desktop", "lab"),
    ]
    assert [e.entry_id for e in pins.recent("lab")] == ["b.desktop"]
    (user.root / "state/netjail/recent.json").write_text('[{"entry": 3}]')
    assert pins.recent() == []
