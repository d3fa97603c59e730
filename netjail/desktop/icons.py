# SPDX-License-Identifier: GPL-3.0-or-later
"""Icons by name, in the theme that the user's desktop shows."""

from __future__ import annotations

import configparser
import functools
import os
import re

from xdg import BaseDirectory

_XFCE = re.compile(r'name="IconThemeName"[^>]*\bvalue="([^"]+)"')
_FALLBACK = "Adwaita"
"""Where no desktop says anything: what GTK falls back to. `hicolor` is behind every theme."""


@functools.lru_cache(maxsize=2048)
def path(icon: str, size: int) -> str | None:
    """The file of an icon (a name, or a path), nearest to `size` pixels; None: there is none.

    Remembered for good, also that there is none: that costs pyxdg 11 ms each.
    """
    if not icon:
        return None
    if icon.startswith("/"):
        return icon if os.path.isfile(icon) else None
    from xdg import IconTheme

    if "/" in icon or "\0" in icon:
        return None
    try:
        found = IconTheme.getIconPath(icon, size, theme())
    except Exception:  # a theme with a broken index, whatever pyxdg makes of it
        return None
    return str(found) if found and os.path.isfile(found) else None


def forget() -> None:
    """A theme was chosen or something was installed: look again."""
    path.cache_clear()
    theme.cache_clear()


@functools.lru_cache(maxsize=1)
def theme() -> str:
    """The icon theme by the settings of the desktop that runs, else by any that says something."""
    desktop = os.environ.get("XDG_CURRENT_DESKTOP", "").casefold()
    ways = [_gtk, _kde, _xfce]
    if "kde" in desktop:
        ways = [_kde, _gtk, _xfce]
    elif "xfce" in desktop:
        ways = [_xfce, _gtk, _kde]
    for way in ways:
        found = way()
        if found and "/" not in found and _exists(found):
            return found
    return _FALLBACK if _exists(_FALLBACK) else "hicolor"


def _exists(name: str) -> bool:
    from xdg import IconTheme

    return any(os.path.isdir(os.path.join(each, name)) for each in IconTheme.icondirs)


def _gtk() -> str | None:
    for version in ("4.0", "3.0"):
        found = _ini(f"gtk-{version}/settings.ini", "Settings", "gtk-icon-theme-name")
        if found:
            return found
    return None


def _kde() -> str | None:
    return _ini("kdeglobals", "Icons", "Theme")


def _xfce() -> str | None:
    for each in BaseDirectory.xdg_config_dirs:
        file = os.path.join(each, "xfce4/xfconf/xfce-perchannel-xml/xsettings.xml")
        try:
            with open(file, encoding="utf-8", errors="replace") as opened:
                found = _XFCE.search(opened.read())
        except OSError:
            continue
        if found:
            return found[1]
    return None


def _ini(file: str, section: str, key: str) -> str | None:
    for each in BaseDirectory.xdg_config_dirs:
        parser = configparser.RawConfigParser(strict=False, delimiters=("=",))
        try:
            parser.read(os.path.join(each, file), encoding="utf-8")
        except (configparser.Error, UnicodeError):
            continue
        found = parser.get(section, key, fallback="").strip().strip('"')
        if found:
            return found
    return None
