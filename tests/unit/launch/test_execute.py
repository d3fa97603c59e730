# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding a program as execvp(3) does. What happens after a success is in tests/netns."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from netjail.launch import enter


@pytest.fixture(autouse=True)
def tried(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, list[bytes]]]:
    """execve(2) notes what it was asked for, and does it never."""
    seen: list[tuple[bytes, list[bytes]]] = []
    answers = {b"text": errno.ENOEXEC, b"denied": errno.EACCES, b"big": errno.E2BIG}

    def execve(file: bytes, args: list[bytes], env: object) -> None:
        seen.append((file, args))
        number = answers.get(file.rsplit(b"/", 1)[1], errno.ENOENT)
        raise OSError(number, "why")

    monkeypatch.setattr(enter.posix, "execve", execve)
    monkeypatch.setattr(enter._signal, "signal", lambda *_: None)
    return seen


def attempt(argv: list[str], path: Path | str) -> enter.ExecError:
    with pytest.raises(enter.ExecError) as caught:
        enter.execute(argv, {b"PATH": str(path).encode()})
    return caught.value


def test_only_files_that_exist_are_tried(
    tmp_path: Path, tried: list[tuple[bytes, list[bytes]]]
) -> None:
    for name in ("a", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "denied").touch()
    error = attempt(["denied", "x"], f"{tmp_path}/a:{tmp_path}/b:{tmp_path}/c")
    assert [file for file, _ in tried] == [
        f"{tmp_path}/{name}/denied".encode() for name in ("a", "c")
    ]
    assert (error.status, error.message) == (126, "denied: why")


def test_other_errors_end_the_search(
    tmp_path: Path, tried: list[tuple[bytes, list[bytes]]]
) -> None:
    for name in ("a", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "big").touch()
    assert attempt(["big"], f"{tmp_path}/a:{tmp_path}/c").status == 126
    assert len(tried) == 1


def test_unknown_formats_are_the_shells(
    tmp_path: Path, tried: list[tuple[bytes, list[bytes]]]
) -> None:
    (tmp_path / "text").touch()
    attempt(["text", "one", "-x"], tmp_path)
    file = f"{tmp_path}/text".encode()
    assert tried == [
        (file, [b"text", b"one", b"-x"]),
        (b"/bin/sh", [b"/bin/sh", file, b"one", b"-x"]),
    ]


@pytest.mark.parametrize("name", ["nosuch", "", "x" * 300, "\udcff", "ü"])
def test_not_found(name: str) -> None:
    error = attempt([name], "/usr/bin:/bin")
    assert error.status == 127
    assert error.message == f"{name}: command not found"


def test_not_found_by_path() -> None:
    error = attempt(["/no/such/thing"], "")
    assert (error.status, error.message) == (127, "/no/such/thing: why")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("#!/no/such/python -x\n", "bad interpreter: /no/such/python: No such file or directory"),
        ("#! /no/such\n", "bad interpreter: /no/such: No such file or directory"),
        ("#!\n", "bad interpreter"),
        ("\x7fELF", "bad interpreter"),
    ],
)
def test_bad_interpreters(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "script").write_text(content)
    error = attempt(["script"], tmp_path)
    assert (error.status, error.message) == (126, f"script: {message}")
