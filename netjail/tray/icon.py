# SPDX-License-Identifier: GPL-3.0-or-later
"""The icon, by pystray: the only file that imports it.

Importing pystray fails, in one of several ways, where there is no display or a typelib is missing:
hence it is imported when the backend has been chosen, and what it says becomes one clear error.
The menu of `appindicator` and `gtk` is ours (see `widgets`), because pystray's own is made anew at
each change, which closes it under the pointer.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from typing import Any

from gi.repository import GLib

from netjail.errors import NetjailError
from netjail.tray import draw
from netjail.tray.menu import Action, Item
from netjail.tray.session import Backend
from netjail.tray.state import Look

NAME = "netjail"


class Icon:
    """`press` is given the action of a line of the menu; `clicked` is called where there is no menu
    and somebody clicks on the icon. Both on the main loop's thread.

    Raises `missing-program` where pystray cannot be used.
    """

    def __init__(
        self, backend: Backend, press: Callable[[Action], None], clicked: Callable[[], object]
    ) -> None:
        self.backend = backend
        self._look: Look | None = None
        self._title = ""
        self._lines: Any = None
        self._thread: threading.Thread | None = None
        os.environ["PYSTRAY_BACKEND"] = backend
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        if os.path.isdir(runtime):
            tempfile.tempdir = runtime  # where pystray puts the picture for the panel
        try:
            import pystray
        except Exception as error:  # Xlib's errors, ImportError, ValueError of missing typelibs
            raise NetjailError(
                "missing-program",
                f"the tray icon cannot be shown: {error}",
                "On Debian and Ubuntu: apt install python3-pystray gir1.2-ayatanaappindicator3-0.1",
            ) from None
        if pystray.Icon.HAS_MENU:
            from netjail.tray.widgets import Lines

            self._lines = Lines(press)
        self._icon = _make(pystray, self._lines, clicked)

    @property
    def has_menu(self) -> bool:
        return self._lines is not None

    def show(self, look: Look, title: str, items: Sequence[Item]) -> None:
        """Show it for the first time."""
        self._look, self._title = look, title
        self._icon.title = title
        self._icon.icon = self._picture(look)
        if self._lines is not None:
            self._lines.show(items)
            self._icon.run_detached()
        else:
            # Not run_detached(): with this backend it leaves a thread behind that never ends.
            self._thread = threading.Thread(target=self._icon.run, daemon=True)
            self._thread.start()

    def update(self, look: Look, title: str, items: Sequence[Item] | None) -> None:
        """What has changed; `items` None: the menu has not."""
        if look != self._look:
            self._look = look
            self._icon.icon = self._picture(look)
        if title != self._title:
            self._title = title
            self._icon.title = title
        if items is not None and self._lines is not None:
            self._lines.show(items)

    def _picture(self, look: Look) -> Any:
        # `xorg` draws what is behind a transparent pixel as whatever colour is stored there.
        return draw.image(look) if self._lines is not None else draw.tile(look)

    def close(self) -> None:
        """Take it away."""
        self._icon.visible = False
        if self._thread is not None:
            self._icon.stop()


def _make(pystray: Any, lines: Any, clicked: Callable[[], object]) -> Any:
    class OwnIcon(pystray.Icon):  # type: ignore[misc]
        """pystray's icon with our menu."""

        def _create_menu(self, _descriptors: Any) -> Any:
            return lines.menu

        def __call__(self) -> None:
            """A click on the icon, of backends that tell of it."""
            if lines is not None:
                self._on_status_icon_popup_menu(self._status_icon, 1, 0)
            else:
                GLib.idle_add(clicked)

    # An empty menu, or the icon of `appindicator` would make one of its own.
    icon = OwnIcon(NAME, menu=pystray.Menu())
    if lines is None:
        # pystray 0.19 answers to clicks here, but has not asked X to tell of them.
        from Xlib import X

        mask = X.ExposureMask | X.StructureNotifyMask | X.ButtonPressMask
        icon._window.change_attributes(event_mask=mask)
        icon._display.flush()
    return icon
