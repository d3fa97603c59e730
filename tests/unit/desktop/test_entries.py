# SPDX-License-Identifier: GPL-3.0-or-later
"""Which applications there are, and what their files say."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdg.DesktopEntry import DesktopEntry
from xdg.Exceptions import Error

from netjail.desktop import entries, quick
from netjail.errors import NetjailError
from tests.unit.desktop.conftest import Desktop


def ids(everything: bool = False) -> list[str]:
    return [entry.id for entry in entries.all_entries(everything)]


def reason(path: Path) -> str:
    (found,) = [each.reason for each in entries.scan().skipped if each.path == str(path)]
    return found


def test_an_entry_of_the_user_stands_in_for_that_of_the_system(desktop: Desktop) -> None:
    desktop.app("a.desktop", "Comment=system")
    desktop.app("a.desktop", "Comment=mine", where=desktop.home)
    assert [entry.comment for entry in entries.all_entries()] == ["mine"]


def test_a_subdirectory_is_part_of_the_id(desktop: Desktop) -> None:
    desktop.app("kde/deep/konsole.desktop")
    assert ids() == ["kde-deep-konsole.desktop"]
    desktop.app("kde-deep-konsole.desktop", "Comment=mine", where=desktop.home)
    assert entries.find("kde-deep-konsole").comment == "mine"


def test_an_override_marked_hidden_deletes_the_application(desktop: Desktop) -> None:
    desktop.app("a.desktop")
    path = desktop.write(desktop.home, "a.desktop", "[Desktop Entry]\nHidden=true\n")
    assert ids(everything=True) == []
    assert "Hidden" in reason(path)
    with pytest.raises(NetjailError, match="marked as deleted"):
        entries.find("a")


def test_what_menus_do_not_show_is_still_an_application(desktop: Desktop) -> None:
    desktop.app("a.desktop", "NoDisplay=true")
    assert ids() == []
    assert ids(everything=True) == ["a.desktop"]
    assert entries.find("a").id == "a.desktop"


@pytest.mark.parametrize(
    ("line", "desktops", "is_shown"),
    [
        ("OnlyShowIn=XFCE;MATE;", "XFCE", True),
        ("OnlyShowIn=XFCE;MATE;", "KDE", False),
        ("OnlyShowIn=XFCE;", "ubuntu:XFCE", True),
        ("OnlyShowIn=XFCE;", "", False),
        ("NotShowIn=KDE;", "KDE", False),
        ("NotShowIn=KDE;", "GNOME", True),
        ("NotShowIn=KDE;", "", True),
    ],
)
def test_shown_in_some_desktops_only(
    desktop: Desktop, monkeypatch: pytest.MonkeyPatch, line: str, desktops: str, is_shown: bool
) -> None:
    desktop.app("a.desktop", line)
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", desktops)
    assert bool(ids()) is is_shown


def test_what_is_not_installed_any_more_is_skipped(desktop: Desktop, tmp_path: Path) -> None:
    program = tmp_path / "program"
    path = desktop.app("a.desktop", f"TryExec={program}")
    assert "TryExec" in reason(path)
    program.touch()
    assert ids() == [], "not executable"
    program.chmod(0o755)
    assert ids() == ["a.desktop"]
    desktop.app("b.desktop", "TryExec=sh")
    desktop.app("c.desktop", "TryExec=no-such-program-anywhere")
    assert ids() == ["a.desktop", "b.desktop"]


def test_flatpaks_count_also_where_the_session_does_not_say_so(desktop: Desktop) -> None:
    exports = desktop.home / "flatpak/exports/share"
    desktop.app("org.a.B.desktop", "X-Flatpak=org.a.B", where=exports)
    assert entries.find("org.a.B").flatpak == "org.a.B"
    desktop.app("org.a.B.desktop", "Comment=mine")  # further up
    assert entries.find("org.a.B").comment == "mine"


def test_relative_data_directories_do_not_count(
    desktop: Desktop, monkeypatch: pytest.MonkeyPatch
) -> None:
    desktop.app("a.desktop")
    monkeypatch.setattr(entries.BaseDirectory, "xdg_data_dirs", ["system", ""])
    monkeypatch.chdir(desktop.root)
    assert ids() == []


def test_texts_are_in_the_users_language(desktop: Desktop, speaks: Callable[..., None]) -> None:
    desktop.app(
        "a.desktop", "Name=Files", "Name[de]=Dateien", "Name[de_AT]=Dateien, bitte",
        "Comment[fr]=Fichiers", "Comment=Files",
    )  # fmt: skip
    assert entries.find("a").name == "Files"
    speaks("de_DE", "de")
    assert (entries.find("a").name, entries.find("a").comment) == ("Dateien", "Files")
    speaks("de_AT", "de")
    assert entries.find("a").name == "Dateien, bitte"


def test_every_field(desktop: Desktop) -> None:
    path = desktop.write(
        desktop.system,
        "a.desktop",
        "\ufeff# a comment = nothing\n\n[Desktop Entry]\r\n Type = Application \nName= A \\s b\n"
        "GenericName=G\nComment=C\\nD\nIcon=icon\nExec=a \\\\$ %U\nTryExec=sh\nPath=/tmp\n"
        "Terminal=true\nMimeType=text/html;text/plain;\nCategories=X-a\\;b;Network;\nKeywords=k\n"
        "Actions=new;gone;\nDBusActivatable=true\nStartupWMClass=A\nStartupNotify=true\n"
        "X-SnapInstanceName=a\n\n[Other]\nName=other\n"
        "[Desktop Action new]\nName=New\nExec=a --new\nIcon=new\n[Desktop Action unlisted]\nName=U",
    )
    found = entries.find("a")
    assert found == entries.Entry(
        id="a.desktop", path=str(path), name="A   b", generic_name="G", comment="C\nD",
        icon="icon", exec="a \\$ %U", try_exec="sh", directory="/tmp",
        actions=(entries.Action("new", "New", "a --new", "new"),),
        mime_types=("text/html", "text/plain"), categories=("X-a;b", "Network"),
        keywords=("k",), only_show_in=(), not_show_in=(), terminal=True, no_display=False,
        hidden=False, dbus_activatable=True, startup_notify=True, startup_wm_class="A",
        flatpak="", snap="a",
    )  # fmt: skip
    with pytest.raises(NetjailError, match="no action gone") as caught:
        found.action("gone")
    assert caught.value.hint == "It has: new."


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ("# nothing\n", "has no group"),
        ("Name=a\n[Desktop Entry]\n", "line 1 stands before any group"),
        ("[Other]\nName=a\n", "has no group"),
        ("[Desktop Entry\nName=a\n", "line 1 begins a group"),
        ("[Desktop Entry]\nType=Application\ngarbage\n", "line 3 is no KEY=VALUE"),
        ("[Desktop Entry]\nName=a\nExec=a\n", "has no Type"),
        ("[Desktop Entry]\nType=Link\nName=a\n", "its Type is Link"),
        ("[Desktop Entry]\nType=Application\nExec=a\n", "has no Name"),
        ("[Desktop Entry]\nType=Application\nName=a\n", "has no Exec"),
        (b"[Desktop Entry]\nType=Application\nName=a\nExec=/opt/\xff/a\n", "not UTF-8"),
        ("[Desktop Entry]\nType=Application\nName=a\nExec=a\0b\n", "not UTF-8"),
        ("x" * (quick.SIZE_MAX + 1), "larger than 1 MiB"),
    ],
)
def test_malformed_files_are_skipped_with_a_reason(
    desktop: Desktop, text: str | bytes, why: str
) -> None:
    desktop.app("good.desktop")
    path = desktop.write(desktop.system, "bad.desktop", text)
    assert ids(everything=True) == ["good.desktop"]
    assert why in reason(path)
    with pytest.raises(NetjailError) as caught:
        entries.find("bad")
    assert caught.value.code == "no-such-application"
    assert why in caught.value.message


def test_what_is_no_file_is_skipped(desktop: Desktop) -> None:
    directory = desktop.write(desktop.system, "good.desktop", "").parent
    desktop.app("good.desktop")
    os.mkfifo(directory / "pipe.desktop")
    (directory / "directory.desktop").mkdir()
    (directory / "dangling.desktop").symlink_to("nowhere")
    (directory / "loop").symlink_to(directory)
    assert "good.desktop" in ids()
    assert {each.reason for each in entries.scan().skipped} >= {"is not a file"}


def test_a_file_that_changes_is_read_again(desktop: Desktop) -> None:
    path = desktop.app("a.desktop", "Comment=one")
    assert entries.find("a").comment == "one"
    path.write_text(path.read_text().replace("one", "another"))
    assert entries.find("a").comment == "another"
    path.unlink()
    assert ids() == []


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this process has read; the next one begins like that."""
    monkeypatch.setattr(entries, "_known_languages", None)


def test_what_was_read_is_kept_for_the_next_process(
    desktop: Desktop, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = desktop.app("a.desktop", "Comment=one", "MimeType=a/b;", "Actions=x;",
                       "[Desktop Action x]", "Name=X")  # fmt: skip
    desktop.write(desktop.system, "bad.desktop", "garbage")
    before = entries.scan()
    entries.save()  # as at the end of the process
    forget(monkeypatch)
    monkeypatch.setattr(entries, "_read", None)  # nothing is read
    assert entries.scan() == before
    monkeypatch.undo()
    again = ((0, 0, 0, 0), entries.Skipped("a", "read again"))
    monkeypatch.setattr(entries, "_read", lambda *_: again)
    path.write_text(path.read_text() + "X-More=1\n")
    assert "read again" in {each.reason for each in entries.scan([str(desktop.system)]).skipped}


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"version":1,"languages":[],"files":{"%s":[[1],[1,2,3]]}}', "null"]
)
def test_a_cache_of_another_form_is_no_cache(
    desktop: Desktop, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    path = desktop.app("a.desktop")
    before = entries.scan()
    entries.save()
    Path(entries.entrycache.file()).write_text(text.replace("%s", str(path)))
    forget(monkeypatch)
    assert entries.scan() == before


@pytest.mark.parametrize(
    "words",
    ["org.gnome.Nautilus.desktop", "org.gnome.Nautilus", "nautilus", "Files", "files", "naut"],
)
def test_found_by_id_name_or_program(desktop: Desktop, words: str) -> None:
    desktop.write(
        desktop.system,
        "org.gnome.Nautilus.desktop",
        "[Desktop Entry]\nType=Application\nName=Files\nExec=env A=1 /usr/bin/naut --new %U\n",
    )
    assert entries.find(words).id == "org.gnome.Nautilus.desktop"


def test_found_by_path(desktop: Desktop, tmp_path: Path) -> None:
    path = desktop.app("a.desktop", where=tmp_path / "elsewhere")
    assert entries.find(str(path)).path == str(path)
    with pytest.raises(NetjailError, match="No such file"):
        entries.find(str(path) + "x")


def test_a_name_that_is_nearly_right_gets_a_suggestion(desktop: Desktop) -> None:
    desktop.app("firefox-esr.desktop")
    with pytest.raises(NetjailError) as caught:
        entries.find("firefox")
    assert caught.value.code == "no-such-application"
    assert caught.value.hint == "Did you mean firefox-esr.desktop?"
    with pytest.raises(NetjailError) as caught:
        entries.find("something else entirely")
    assert "netjail apps" in str(caught.value.hint)


def test_a_name_that_two_have_is_not_guessed(desktop: Desktop) -> None:
    desktop.app("org.a.Editor.desktop", "Name=Text")
    desktop.app("org.b.Editor.desktop", "Name=Text")
    with pytest.raises(NetjailError) as caught:
        entries.find("editor")
    assert "org.a.Editor.desktop, org.b.Editor.desktop" in str(caught.value.hint)


def test_an_icon_by_its_theme(desktop: Desktop, tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    image.touch()
    desktop.app("a.desktop", f"Icon={image}")
    desktop.app("b.desktop", "Icon=no-such-icon-anywhere")
    desktop.app("c.desktop", "Icon=../../etc/passwd")
    assert entries.icon_path(entries.find("a"), 48) == str(image)
    assert entries.icon_path(entries.find("b"), 48) is None
    assert entries.icon_path(entries.find("c"), 48) is None


@pytest.mark.parametrize("size", [16, 48])
def test_an_icon_of_the_right_size(
    desktop: Desktop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    from xdg import IconTheme

    theme = tmp_path / "icons/hicolor"
    for each in (16, 48):
        (theme / f"{each}x{each}/apps").mkdir(parents=True)
        (theme / f"{each}x{each}/apps/thing.png").touch()
    sections = "".join(f"[{s}x{s}/apps]\nSize={s}\nType=Fixed\n" for s in (16, 48))
    (theme / "index.theme").write_text(
        f"[Icon Theme]\nName=Hicolor\nComment=x\nDirectories=16x16/apps,48x48/apps\n{sections}"
    )
    monkeypatch.setattr(IconTheme, "icondirs", [str(tmp_path / "icons")])
    monkeypatch.setattr(IconTheme, "themes", [])
    for cache in ("icon_cache", "dir_cache", "theme_cache"):
        monkeypatch.setattr(IconTheme, cache, {})
    desktop.app("a.desktop", "Icon=thing")
    found = entries.icon_path(entries.find("a"), size)
    assert found == str(theme / f"{size}x{size}/apps/thing.png")


def test_the_whole_document_is_pyxdgs(desktop: Desktop) -> None:
    path = desktop.app("a.desktop", "Name[xx]=Other", "X-Odd=1")
    found = entries.document(entries.find("a"))
    assert found.get("Name[xx]") == "Other"
    path.write_text("garbage")
    entry = entries.Entry("a.desktop", str(path), *[""] * 7, *[()] * 6, *[False] * 5, *[""] * 3)  # type: ignore[arg-type]
    with pytest.raises(NetjailError):
        entries.document(entry)


KEYS = st.sampled_from(
    [
        "Name",
        "Name[de]",
        "Name[fr]",
        "Name[",
        "Name[de",
        "Comment",
        "Comment[de_DE]",
        "GenericName[fr]",
        "Keywords[de]",
        "Exec",
        "NoDisplay",
        "Icon",
        "Type",
        "X",
        "X[fr]",
    ]
)
VALUES = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), max_size=12)
LINES = st.one_of(
    st.tuples(KEYS, st.sampled_from(["=", " = ", "= "]), VALUES).map("".join),
    # a second [Desktop Entry] adds to the first, as GLib has it; pyxdg forgets the first
    st.sampled_from(["[Desktop Action a]", "[Other]", "# x = y", "", "  "]),
    VALUES,
)


@given(st.lists(LINES, max_size=12).map("\n".join))
def test_the_quick_reader_and_pyxdg_read_the_same(text: str) -> None:
    path = "/dev/shm/netjail-test-%d.desktop" % os.getpid()  # noqa: UP031
    text = "[Desktop Entry]\nType=Application\nName=n\nExec=e\n" + text
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    try:
        try:
            theirs = DesktopEntry(path)
        except Error:
            theirs = None
        ours = entries.read(path, "a.desktop", quick.Wanted(("de",)))
    finally:
        os.unlink(path)
    if theirs is None or isinstance(ours, entries.Skipped):
        return  # what is malformed to whom: above
    group = theirs.content["Desktop Entry"]
    for key, said in (("Name", ours.name), ("Comment", ours.comment), ("Icon", ours.icon)):
        assert said == quick.string(group.get(f"{key}[de]", group.get(key, "")))
    assert ours.exec == quick.string(group["Exec"])
    assert ours.no_display == theirs.getNoDisplay() or group["NoDisplay"] == "1"


@given(st.binary(max_size=400))
def test_no_file_makes_the_reader_raise_anything_else(data: bytes) -> None:
    try:
        groups = quick.parse(data.decode("utf-8", "replace"), quick.Wanted(()))
    except quick.MalformedError:
        return
    assert quick.MAIN in groups


def test_installed_entries_read_as_pyxdg_reads_them() -> None:
    """Whatever this machine has."""
    wanted = quick.Wanted(("de_DE", "de"))
    for name, path in entries.files(["/usr/share"]).items():
        ours = entries.read(path, name, wanted)
        if isinstance(ours, entries.Skipped):
            continue
        theirs = DesktopEntry(path)
        group = theirs.content["Desktop Entry"]
        best = next(group[k] for k in ("Name[de_DE]", "Name[de]", "Name") if k in group)
        assert ours.name == quick.string(best)
        assert ours.exec == quick.string(theirs.get("Exec"))
        assert ours.categories == tuple(theirs.getCategories())
        assert ours.mime_types == tuple(theirs.getMimeTypes())
        assert (ours.terminal, ours.no_display) == (theirs.getTerminal(), theirs.getNoDisplay())
