# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from netjail import names
from netjail.errors import NetjailError
from netjail.profile import store
from tests.unit.profile.examples import NONE, PRIVATE, VETH, WIREGUARD


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    where = tmp_path / "etc" / "netjail" / "profiles"
    monkeypatch.setattr(names, "PROFILE_DIR", str(where))
    return where


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def code(call: Any, *args: Any) -> str:
    with pytest.raises(NetjailError) as caught:
        call(*args)
    assert PRIVATE not in str(caught.value.as_dict())
    return f"{caught.value.code}: {caught.value.message}"


def test_save_load_remove(directory: Path) -> None:
    assert store.names() == []
    old = os.umask(0)
    try:
        assert store.save("vpn", WIREGUARD) == []
    finally:
        os.umask(old)
    assert (mode(directory), mode(directory / "vpn.toml")) == (0o700, 0o600)
    assert store.names() == ["vpn"]
    assert store.read_text("vpn") == WIREGUARD
    assert store.load("vpn").description == "Stockholm"
    store.remove("vpn")
    assert store.names() == []
    assert code(store.remove, "vpn").startswith("no-such-profile")


def test_replace(directory: Path) -> None:
    store.save("lab", NONE)
    assert code(store.save, "lab", VETH).startswith("exists")
    assert store.read_text("lab") == NONE
    store.save("lab", VETH, True)
    assert store.read_text("lab") == VETH


def test_a_bad_text_is_not_stored(directory: Path) -> None:
    assert code(store.save, "vpn", "version = 1\n").startswith("invalid-profile")
    assert store.names() == []


def test_a_bad_file_is_told_with_all_problems(directory: Path) -> None:
    store.save("vpn", NONE)
    (directory / "vpn.toml").write_text("version = 3\nmut = 1\n")
    with pytest.raises(NetjailError) as caught:
        store.load("vpn")
    assert len(caught.value.problems) == 3
    assert caught.value.message == "profile vpn cannot be used: vpn.toml has 3 problems"
    assert caught.value.hint == "netjail profile edit vpn"
    assert store.names() == ["vpn"]


@pytest.mark.parametrize("name", ["../x", "-rf", "", "x" * 300, "ä", "a/b", "a\0b"])
def test_names(directory: Path, name: str) -> None:
    for call in (store.load, store.read_text, store.remove, store.path):
        assert code(call, name).startswith("invalid-name")
    assert code(store.save, name, NONE).startswith("invalid-name")
    assert not directory.exists()


def test_did_you_mean(directory: Path) -> None:
    store.save("stockholm", NONE)
    with pytest.raises(NetjailError) as caught:
        store.load("stokholm")
    assert caught.value.code == "no-such-profile"
    assert caught.value.hint is not None and "did you mean stockholm?" in caught.value.hint
    with pytest.raises(NetjailError) as caught:
        store.load("zzz")
    assert caught.value.hint is not None and "netjail import FILE --name zzz" in caught.value.hint


def test_foreign_files_are_no_profiles(directory: Path) -> None:
    store.save("vpn", NONE)
    for name in ("x.toml~", ".vpn.toml.new", "UPPER.toml", "README", ".toml"):
        (directory / name).write_text("")
    assert store.names() == ["vpn"]


def test_links_and_other_things_are_refused(directory: Path, tmp_path: Path) -> None:
    store.save("vpn", NONE)
    (directory / "link.toml").symlink_to(directory / "vpn.toml")
    (directory / "dir.toml").mkdir()
    os.mkfifo(directory / "fifo.toml", 0o600)
    assert "is a symbolic link; netjail does not use it" in code(store.load, "link")
    assert "is not a plain file" in code(store.load, "dir")
    assert "is not a plain file" in code(store.load, "fifo")
    # Writing replaces the link, not what it points to.
    target = tmp_path / "target"
    target.write_text("precious")
    (directory / "to.toml").symlink_to(target)
    store.save("to", NONE, True)
    assert target.read_text() == "precious"
    assert not (directory / "to.toml").is_symlink()


@pytest.mark.parametrize("bits", [0o620, 0o602, 0o666, 0o777])
def test_files_that_others_may_write_are_refused(directory: Path, bits: int) -> None:
    store.save("vpn", NONE)
    (directory / "vpn.toml").chmod(bits)
    assert "can be changed by others" in code(store.load, "vpn")


def test_a_directory_that_others_may_write_is_refused(directory: Path) -> None:
    store.save("vpn", NONE)
    directory.chmod(0o777)
    assert "can be changed by others" in code(store.load, "vpn")
    assert "can be changed by others" in code(store.save, "new", NONE)
    assert not (directory / "new.toml").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a file away")
def test_files_of_others_are_refused(directory: Path) -> None:
    store.save("vpn", NONE)
    os.chown(directory / "vpn.toml", 12345, 0)
    assert "belongs to the user with number 12345" in code(store.load, "vpn")


def test_a_directory_behind_a_link_is_refused(directory: Path, tmp_path: Path) -> None:
    directory.parent.mkdir(parents=True)
    (tmp_path / "else").mkdir()
    directory.symlink_to(tmp_path / "else")
    assert "symbolic link" in code(store.save, "vpn", NONE)
    assert list((tmp_path / "else").iterdir()) == []


def test_readable_files_are_told(directory: Path) -> None:
    store.save("vpn", NONE)
    assert store.exposed() == []
    (directory / "vpn.toml").chmod(0o644)
    assert store.exposed() == []  # nobody can reach it
    directory.chmod(0o755)
    assert store.exposed() == [str(directory), str(directory / "vpn.toml")]
    store.save("vpn", NONE, True)
    assert store.exposed() == []


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_failed_write_changes_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    store.save("vpn", NONE)

    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(NetjailError) as caught:
            store.save("vpn", VETH, True)
        assert caught.value.code == "system"
        assert os.strerror(number) in caught.value.message
        assert (caught.value.hint is None) == (number == errno.EIO)
        assert code(store.save, "new", VETH).startswith("system")
    assert [p.name for p in directory.iterdir()] == ["vpn.toml"]
    assert store.read_text("vpn") == NONE


def test_a_short_write_goes_on(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:7]))
    store.save("vpn", WIREGUARD)
    assert store.read_text("vpn") == WIREGUARD


FULL_DISK = """
import os, sys
from netjail import names
from netjail.errors import NetjailError
from netjail.profile import store
names.PROFILE_DIR = sys.argv[1] + "/profiles"
small = 'version = 1\\n[uplink]\\nkind = "none"\\n'
store.save("vpn", small)
try:
    store.save("vpn", small + "#" * 500_000, True)
except NetjailError as error:
    print(error.message)
assert store.read_text("vpn") == small
assert os.listdir(names.PROFILE_DIR) == ["vpn.toml"]
store.remove("vpn")
"""


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o size=64k none "$1" && exec "$2" -c "$3" "$1"'
    run = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", str(tmp_path), sys.executable, FULL_DISK],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    if "unshare" in run.stderr or "mount" in run.stderr:
        pytest.skip(f"no private mounts here: {run.stderr}")
    assert run.returncode == 0, run.stderr
    assert run.stdout.endswith("profiles/vpn.toml: No space left on device\n")


def test_what_a_killed_writer_left_is_no_obstacle(directory: Path, tmp_path: Path) -> None:
    store.save("vpn", NONE)
    precious = tmp_path / "precious"
    precious.write_text("x")
    (directory / ".vpn.toml.new").symlink_to(precious)
    store.save("vpn", VETH, True)
    assert precious.read_text() == "x"
    assert [p.name for p in directory.iterdir()] == ["vpn.toml"]


def test_only_one_of_many_writers_makes_a_new_profile(directory: Path) -> None:
    outcomes: list[str] = []

    def write(n: int) -> None:
        try:
            store.save("vpn", f'description = "{n}"\n{NONE}')
            outcomes.append("saved")
        except NetjailError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["exists"] * 7 + ["saved"]
    assert store.load("vpn").description.isdecimal()


def test_text_that_is_not_utf8(directory: Path) -> None:
    store.save("vpn", NONE)
    (directory / "vpn.toml").write_bytes(b"version = 1\n# Z\xfcrich\n")
    with pytest.raises(NetjailError) as caught:
        store.load("vpn")
    assert "vpn.toml:2: is not UTF-8 text" in caught.value.problems[0]


def test_a_huge_file(directory: Path) -> None:
    store.save("vpn", NONE)
    os.truncate(directory / "vpn.toml", 1 << 30)
    assert code(store.read_text, "vpn").startswith("invalid-profile")
