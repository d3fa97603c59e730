# SPDX-License-Identifier: GPL-3.0-or-later
"""Code that others than root can change."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

import pytest

from netjail.errors import NetjailError
from netjail.launch import trust

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make root's files")

ALICE = 54321


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A directory with code, all of it root's, below /tmp, which everybody may write to."""
    package = tmp_path / "lib" / "package"
    (package / "room").mkdir(parents=True)
    for name in ("__init__.py", "room/code.py"):
        (package / name).write_text("")
    return package


def flaws(package: Path, *paths: Path) -> list[str]:
    return trust.flaws([str(package)], [str(path) for path in paths])


def test_root_alone(package: Path) -> None:
    assert flaws(package, package.parent) == []


@pytest.mark.parametrize("what", ["", "room", "room/code.py", ".."])
def test_somebody_elses(package: Path, what: str) -> None:
    path = (package / what).resolve()
    os.chown(path, ALICE, 0)
    assert flaws(package) == [f"{path} belongs to uid {ALICE}"]


@pytest.mark.parametrize("what", ["", "room", "room/code.py", ".."])
@pytest.mark.parametrize(
    ("mode", "who"), [(0o775, f"its group (gid {ALICE})"), (0o757, "everybody")]
)
def test_writable(package: Path, what: str, mode: int, who: str) -> None:
    path = (package / what).resolve()
    os.chown(path, 0, ALICE)
    path.chmod(mode)
    assert flaws(package) == [f"{path} can be written by {who}"]


@pytest.mark.parametrize(
    ("gid", "members", "users", "trusted"),
    [
        (50, [], [("root", 0, 0)], True),
        (50, ["root"], [], True),
        (0, [], [("root", 0, 0)], True),
        (50, ["alice"], [], False),
        (50, [], [("alice", 1000, 50)], False),
        (0, [], [("operator", 11, 0)], False),
        (1000, [], [], False),
        (51, None, [], False),
    ],
)
def test_group_without_members(
    package: Path,
    monkeypatch: pytest.MonkeyPatch,
    gid: int,
    members: list[str] | None,
    users: list[tuple[str, int, int]],
    trusted: bool,
) -> None:
    def group(asked: int) -> grp.struct_group:
        if members is None:
            raise KeyError(asked)
        return grp.struct_group(("group", "x", asked, members))

    everybody = [pwd.struct_passwd((name, "x", u, g, "", "/", "/")) for name, u, g in users]
    monkeypatch.setattr(grp, "getgrgid", group)
    monkeypatch.setattr(pwd, "getpwall", lambda: everybody)
    os.chown(package.parent, 0, gid)
    package.parent.chmod(0o2775)
    assert (flaws(package) == []) is trusted


def test_sticky_is_enough_for_a_parent_only(package: Path) -> None:
    package.parent.chmod(0o1777)
    assert flaws(package) == []
    assert flaws(package, package.parent) == [f"{package.parent} can be written by everybody"]
    package.chmod(0o1777)
    assert f"{package} can be written by everybody" in flaws(package)


def test_links_are_followed_on_both_ends(package: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "data").write_text("")
    (package / "data").symlink_to("../../theirs")
    assert flaws(package) == []
    os.chown(theirs / "data", ALICE, 0)
    assert flaws(package) == [f"{theirs / 'data'} belongs to uid {ALICE}"]
    os.chown(theirs / "data", 0, 0)
    os.chown(package / "data", ALICE, 0, follow_symlinks=False)
    assert flaws(package) == [f"{package / 'data'} belongs to uid {ALICE}"]


def test_interpreter_behind_a_link_in_somebodys_home(package: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "python").write_text("")
    os.chown(home, ALICE, 0)
    link = tmp_path / "python"
    link.symlink_to(home / "bin" / "python")
    assert flaws(package, link) == [f"{home} belongs to uid {ALICE}"]


def test_missing(package: Path, tmp_path: Path) -> None:
    assert flaws(package, tmp_path / "not" / "there") == []
    tmp_path.chmod(0o1777)
    missing = tmp_path / "not"
    assert flaws(package, missing / "there") == [
        f"{missing} is missing, and others than root could make it"
    ]


def test_links_in_circles(package: Path, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert flaws(package, tmp_path / "a") == [f"{tmp_path / 'a'} leads in circles"]


def test_error_names_the_first_and_counts_the_rest(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "flaws", lambda: ["a", "b", "c", "d", "e"])
    with pytest.raises(NetjailError) as caught:
        trust.check_code()
    assert caught.value.problems == ("a", "b", "c", "and 2 more")
    monkeypatch.setattr(trust, "flaws", list)
    trust.check_code()
