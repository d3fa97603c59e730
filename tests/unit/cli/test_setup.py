# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail setup`: where things go, and what is left alone. The system's own places are for
tests/netns/test_setup.py."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from netjail.cli import layout, placing
from netjail.cli.layout import Item
from netjail.errors import NetjailError


def targets(prefix: str) -> dict[str, str]:
    found = layout.sources(layout.data_directory())
    return {source: layout.place(source, prefix)[0] for source in found}


def test_every_data_file_has_a_place_of_its_own() -> None:
    for prefix in ("/usr", "/usr/local", "/opt/netjail"):
        found = targets(prefix)
        assert len(set(found.values())) == len(found)
        assert all(target.startswith("/") for target in found.values())


def test_unknown_file_is_noticed() -> None:
    with pytest.raises(ValueError, match="layout"):
        layout.place("something/new", "/usr")


@pytest.mark.parametrize(
    ("prefix", "source", "target"),
    [
        ("/usr", "polkit/x.policy", "/usr/share/polkit-1/actions/x.policy"),
        ("/opt/n", "polkit/x.policy", "/usr/share/polkit-1/actions/x.policy"),
        ("/usr", "dbus/x.conf", "/usr/share/dbus-1/system.d/x.conf"),
        ("/usr/local", "dbus/x.conf", "/etc/dbus-1/system.d/x.conf"),
        ("/usr/local", "dbus/x.service", "/usr/local/share/dbus-1/system-services/x.service"),
        ("/opt/n", "dbus/x.service", "/usr/local/share/dbus-1/system-services/x.service"),
        ("/usr", "systemd/x.service", "/usr/lib/systemd/system/x.service"),
        ("/opt/n", "systemd/x.service", "/etc/systemd/system/x.service"),
        ("/opt/n", "tmpfiles/x.conf", "/etc/tmpfiles.d/x.conf"),
        ("/usr", "man/netjail.profile.5", "/usr/share/man/man5/netjail.profile.5"),
        (
            "/usr",
            "completions/netjail.bash",
            "/usr/share/bash-completion/completions/netjail",
        ),
        ("/usr", "completions/_netjail", "/usr/share/zsh/site-functions/_netjail"),
        ("/usr", "icons/hicolor/a/b.svg", "/usr/share/icons/hicolor/a/b.svg"),
    ],
)
def test_places(prefix: str, source: str, target: str) -> None:
    assert layout.place(source, prefix)[0] == target


def test_files_name_the_helper_of_the_prefix() -> None:
    directory = layout.data_directory()
    found = layout.items(directory, layout.sources(directory), "/usr/local")
    naming = [item for item in found if b"netjaild" in item.text and b"bin/" in item.text]
    texts = [item.text for item in naming if not item.target.endswith((".1", ".8"))]
    assert len(texts) == 2
    for text in texts:
        assert b"/usr/sbin/netjaild" not in text
        assert b"/usr/local/sbin/netjaild" in text


def test_launchers_survive_odd_paths(tmp_path: Path) -> None:
    package = tmp_path / "o'dd $(dir)" / "netjail"
    (package / "daemon").mkdir(parents=True)
    (package / "daemon" / "__main__.py").write_text("import sys; print(sys.argv[1:])\n")
    python = subprocess.run(
        ["python3", "-c", "import sys; print(sys.executable)"], capture_output=True, text=True
    ).stdout.strip()
    _, helper = layout.launchers(python, str(package), "/usr/local")
    script = tmp_path / "netjaild"
    script.write_bytes(helper.text)
    script.chmod(helper.mode)
    done = subprocess.run([script, "--a", "b c"], capture_output=True, text=True)
    assert done.stdout == "['--a', 'b c']\n", done.stderr


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "system"


def item(place: Path, name: str, text: str = "one\n", mode: int = 0o644) -> Item:
    return Item(str(place / name), text.encode(), "test", mode)


def read(place: Path) -> placing.Manifest:
    return placing.Manifest.read(str(place / "share" / "netjail" / "setup.json"))


def install(place: Path, *items: Item) -> list[str]:
    manifest = read(place)
    return placing.install(placing.compare(items, manifest), manifest)


def changes(place: Path, *items: Item) -> list[str]:
    return [change for _, change in placing.compare(items, read(place))]


def test_again_changes_nothing(place: Path) -> None:
    items = [item(place, "a/b/one"), item(place, "two", mode=0o755)]
    install(place, *items)
    assert (place / "two").stat().st_mode & 0o777 == 0o755
    before = (place / "a/b/one").stat()
    assert changes(place, *items) == [placing.SAME, placing.SAME]
    install(place, *items)
    assert (place / "a/b/one").stat().st_mtime_ns == before.st_mtime_ns


def test_new_version_replaces_and_drops(place: Path) -> None:
    install(place, item(place, "one"), item(place, "old"))
    newer = item(place, "one", "two\n")
    assert changes(place, newer) == [placing.WRITE]
    assert install(place, newer) == [str(place / "old")]
    assert (place / "one").read_text() == "two\n"
    assert not (place / "old").exists()


def test_killed_in_the_middle(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record is there before the first file, so the next run knows its own."""
    install(place, item(place, "one"), item(place, "two"))
    write = placing.write_file

    def fail(path: str, text: bytes, mode: int) -> None:
        if path.endswith("two"):
            raise KeyboardInterrupt
        write(path, text, mode)

    newer = [item(place, "one", "new\n"), item(place, "two", "new\n")]
    monkeypatch.setattr(placing, "write_file", fail)
    with pytest.raises(KeyboardInterrupt):
        install(place, *newer)
    monkeypatch.undo()
    assert changes(place, *newer) == [placing.SAME, placing.WRITE]
    install(place, *newer)
    assert (place / "two").read_text() == "new\n"
    placing.remove(read(place))
    assert not place.exists()


def test_what_others_wrote_or_changed_is_left_alone(place: Path) -> None:
    install(place, item(place, "one"), item(place, "two"))
    (place / "one").write_text("mine now\n")
    (place / "theirs").write_text("theirs\n")
    (place / "link").symlink_to("theirs")
    newer = [item(place, name, "new\n") for name in ("one", "theirs", "link")]
    assert changes(place, *newer) == [placing.KEEP, placing.FOREIGN, placing.FOREIGN]
    assert placing.would_remove(read(place)) == [
        (str(place / "one"), placing.KEEP),
        (str(place / "two"), placing.REMOVE),
    ]
    placing.remove(read(place))
    assert sorted(path.name for path in place.iterdir()) == ["link", "one", "theirs"]


def test_same_text_of_a_package_stays_theirs(place: Path) -> None:
    place.mkdir()
    (place / "one").write_text("one\n")
    install(place, item(place, "one"), item(place, "two"))
    placing.remove(read(place))
    assert [path.name for path in place.iterdir()] == ["one"]


def test_remove_takes_the_directories_it_made(place: Path) -> None:
    place.mkdir()
    (place / "a").mkdir()
    install(place, item(place, "a/b/c/one"))
    placing.remove(read(place))
    assert [path.name for path in place.iterdir()] == ["a"]
    assert list((place / "a").iterdir()) == []


def test_damaged_record_is_an_error_with_its_path(place: Path) -> None:
    path = place / "share" / "netjail" / "setup.json"
    path.parent.mkdir(parents=True)
    for text in ("", "[]", '{"files": []}', '{"files": {}}'):
        path.write_text(text)
        with pytest.raises(NetjailError, match=r"setup\.json"):
            read(place)


def test_destdir_needs_no_root_and_leaves_no_record(tmp_path: Path, cli) -> None:
    assert cli("--json", "setup", "--destdir", str(tmp_path), "--prefix", "/usr") == 0
    files = [Path(file["path"]) for file in json.loads(cli.out)["result"]["files"]]
    written = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert written == sorted(files)
    names = {path.name for path in written}
    assert {"org.netjail.policy", "netjaild.service", "netjail.1"} <= names
    assert not {"setup.json", "netjaild"} & names
    unit = (tmp_path / "usr/lib/systemd/system/netjaild.service").read_text()
    assert "ExecStart=/usr/sbin/netjaild\n" in unit


def test_only_root_installs(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert cli("setup") == 1
    assert "sudo netjail setup" in cli.err
    assert cli("setup", "--remove") == 1
    assert "sudo netjail setup --remove" in cli.err
    assert cli("setup", "--print") == 0


@pytest.mark.parametrize(
    "words", [["--prefix", "here"], ["--destdir", "here"], ["--remove", "--destdir", "/x"]]
)
def test_usage(words: list[str], cli) -> None:
    assert cli("setup", *words) == 2
