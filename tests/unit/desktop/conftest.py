# SPDX-License-Identifier: GPL-3.0-or-later
"""Data directories of a test's own, in place of the machine's."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from xdg import BaseDirectory, Locale

from netjail.desktop import entries, icons

MINIMAL = "[Desktop Entry]\nType=Application\nName={name}\nExec={name}\n"


class Desktop:
    """`home` comes first, then `system`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.system = root / "system"

    def write(self, where: Path, name: str, text: str | bytes) -> Path:
        path = where / "applications" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def app(self, name: str, *lines: str, where: Path | None = None) -> Path:
        stem = os.path.basename(name).removesuffix(".desktop")
        text = MINIMAL.format(name=stem) + "".join(line + "\n" for line in lines)
        return self.write(where or self.system, name, text)


@pytest.fixture
def desktop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desktop:
    made = Desktop(tmp_path)
    monkeypatch.setattr(BaseDirectory, "xdg_data_home", str(made.home))
    monkeypatch.setattr(BaseDirectory, "xdg_data_dirs", [str(made.home), str(made.system)])
    monkeypatch.setattr(BaseDirectory, "xdg_config_home", str(tmp_path / "config"))
    monkeypatch.setattr(BaseDirectory, "xdg_config_dirs", [str(tmp_path / "config")])
    monkeypatch.setattr(BaseDirectory, "xdg_cache_home", str(tmp_path / "cache"))
    monkeypatch.setattr(entries, "_known_languages", None)
    monkeypatch.setattr(entries, "EXPORTS", entries.EXPORTS[:1])
    monkeypatch.setattr(Locale, "langs", [])
    monkeypatch.delenv("XDG_CURRENT_DESKTOP", raising=False)
    icons.forget()
    return made


@pytest.fixture
def speaks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def set_languages(*languages: str) -> None:
        monkeypatch.setattr(Locale, "langs", list(languages))

    return set_languages


@pytest.fixture
def user(desktop: Desktop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desktop:
    """The same, and what the user has elsewhere: configuration and state."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(desktop.home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "xdg"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("SUDO_UID", raising=False)
    return desktop
