# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories and .zip files as they are handed out, and as they may be made to harm."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netjail.cli import archive
from netjail.errors import NetjailError


def zipped(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in entries:
            made.writestr(name, data)
    return str(path)


def test_what_is_in_a_directory_and_in_its_zip_is_the_same(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "se").mkdir(parents=True)
    (top / "se" / "a.conf").write_bytes(b"A")
    (top / "b.conf").write_bytes(b"B")
    (top / ".hidden").write_bytes(b"H")
    wanted = {"se/a.conf": b"A", "b.conf": b"B"}
    assert archive.read(str(top)).files == wanted
    name = zipped(tmp_path / "x.zip", ("se/a.conf", b"A"), ("b.conf", b"B"), (".hidden", b"H"))
    assert archive.is_pool(str(top))
    assert archive.is_pool(name)
    assert not archive.is_pool(str(top / "b.conf"))
    assert archive.read(name).files == wanted


def test_links_and_devices_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    top = tmp_path / "top"
    top.mkdir()
    (top / "link.conf").symlink_to(tmp_path / "secret")
    (top / "dir").symlink_to(tmp_path)
    os.mkfifo(top / "fifo.conf")
    found = archive.read(str(top))
    assert found.files == {}
    assert dict(found.skipped) == {
        "dir": "it is a symbolic link",
        "link.conf": "it is a symbolic link",
        "fifo.conf": "it is not a plain file",
    }


def test_what_a_zip_may_be_made_to_harm_with_is_left_out(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.conf")
    link.external_attr = 0o120777 << 16
    name = zipped(
        tmp_path / "x.zip",
        ("../up.conf", b"x"),
        ("/etc/passwd", b"x"),
        ("C:\\x.conf", b"x"),
        ("a/b/../../c.conf", b"x"),
        (link, b"/etc/shadow"),
        ("inner.zip", b"PK"),
        ("huge.conf", b"\0" * (archive.FILE_MAX + 1)),
        ("/".join("d" * 20) + "/x.conf", b"x"),
        ("good.conf", b"G"),
        ("__MACOSX/good.conf", b"x"),
    )
    found = archive.read(name)
    assert found.files == {"good.conf": b"G"}
    why = dict(found.skipped)
    for path in ("../up.conf", "/etc/passwd", "C:/x.conf", "a/b/../../c.conf"):
        assert why[path] == "its path leads out of the archive"
    assert why["link.conf"] == "it is a symbolic link"
    assert "archive inside" in why["inner.zip"]
    assert "longer than" in why["huge.conf"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_second_file_of_a_name_is_left_out(tmp_path: Path) -> None:
    found = archive.read(zipped(tmp_path / "x.zip", ("a", b"1"), ("a", b"2")))
    assert found.files == {"a": b"1"}
    assert found.skipped == [("a", "the archive has another file of that name")]


def test_an_encrypted_file_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    zipped(path, ("a.conf", b"A"))
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\1\2")
    data[at + 8] |= 1  # the flag in the table of contents
    path.write_bytes(data)
    assert "encrypted" in archive.read(str(path)).skipped[0][1]


def test_too_much_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "FILES_MAX", 3)
    many = zipped(tmp_path / "many.zip", *((f"{n}", b"") for n in range(4)))
    with pytest.raises(NetjailError, match="more than 3 files"):
        archive.read(many)
    monkeypatch.setattr(archive, "FILES_MAX", 100)
    monkeypatch.setattr(archive, "TOTAL_MAX", 10000)
    bomb = zipped(tmp_path / "bomb.zip", *((f"{n}", bytes(4000)) for n in range(4)))
    with pytest.raises(NetjailError, match="together"):
        archive.read(bomb)


def test_a_tree_that_is_no_pool_is_not_walked_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "FILES_MAX", 20)
    for number in range(30):
        (tmp_path / str(number)).mkdir()
    with pytest.raises(NetjailError, match="more than 20 files"):
        archive.read(str(tmp_path))


def test_a_size_that_lies_unpacks_no_more_than_it_may(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    zipped(path, ("a.conf", bytes(archive.FILE_MAX * 4)))
    data = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\1\2", 24), (b"PK\3\4", 22)):
        at = data.find(magic)
        data[at + offset : at + offset + 4] = (10).to_bytes(4, "little")
    path.write_bytes(data)
    found = archive.read(str(path))
    assert sum(map(len, found.files.values())) <= archive.FILE_MAX


def _some_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a/se-1.conf", b"[Interface]\n" * 20)
        made.writestr("b.ovpn", b"client\n" * 20)
    return buffer.getvalue()


_ZIP = _some_zip()


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    changes=st.lists(st.tuples(st.integers(0, len(_ZIP) - 1), st.integers(0, 255)), max_size=12),
    cut=st.integers(0, len(_ZIP)),
)
def test_a_damaged_zip_is_read_or_refused_with_a_sentence(
    tmp_path: Path, changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(_ZIP)
    for at, value in changes:
        data[at] = value
    path = tmp_path / "x.zip"
    path.write_bytes(bytes(data[:cut]) if cut % 3 == 0 else bytes(data))
    try:
        found = archive.read(str(path))
    except NetjailError as error:
        assert error.code == "import-refused"
        return
    for name in found.files:
        assert not name.startswith("/")
        assert ".." not in name.split("/")
