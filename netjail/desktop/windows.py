# SPDX-License-Identifier: GPL-3.0-or-later
"""The windows on an X display and the processes that say they own them, by libX11.

Under Wayland without an X display nobody may ask for that; then there is nothing to see here.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os

_XA_CARDINAL, _XA_WINDOW = 6, 33
_LENGTH = 4096
"""Longs of a property that are read."""
_HANDLER = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)

_ignore = _HANDLER(lambda _display, _event: 0)
"""A window that has gone in between is no reason to end, which is what libX11 would do."""


class Display:
    """A connection to the display of $DISPLAY. OSError where there is none, or no libX11."""

    def __init__(self) -> None:
        if not os.environ.get("DISPLAY"):
            raise OSError("no X display")
        x11 = ctypes.CDLL(ctypes.util.find_library("X11") or "libX11.so.6")
        pointer, long, integer = ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int
        x11.XOpenDisplay.restype = pointer
        x11.XOpenDisplay.argtypes = [ctypes.c_char_p]
        x11.XDefaultRootWindow.restype = long
        x11.XDefaultRootWindow.argtypes = [pointer]
        x11.XInternAtom.restype = long
        x11.XInternAtom.argtypes = [pointer, ctypes.c_char_p, integer]
        x11.XFree.argtypes = [pointer]
        x11.XCloseDisplay.argtypes = [pointer]
        x11.XGetWindowProperty.argtypes = [
            pointer, long, long, ctypes.c_long, ctypes.c_long, integer, long, pointer, pointer,
            pointer, pointer, pointer,
        ]  # fmt: skip
        x11.XSetErrorHandler(_ignore)
        self._x11 = x11
        self._display = x11.XOpenDisplay(None)
        if not self._display:
            raise OSError("the X display cannot be opened")
        self._root = x11.XDefaultRootWindow(self._display)
        self._clients = x11.XInternAtom(self._display, b"_NET_CLIENT_LIST", 0)
        self._pid = x11.XInternAtom(self._display, b"_NET_WM_PID", 0)

    def close(self) -> None:
        """End the connection."""
        self._x11.XCloseDisplay(self._display)

    def windows(self) -> dict[int, int | None]:
        """The windows that the window manager has, with the process that each names."""
        found = self._longs(self._root, self._clients, _XA_WINDOW)
        return {
            window: next(iter(self._longs(window, self._pid, _XA_CARDINAL)), None)
            for window in found
        }

    def _longs(self, window: int, name: int, kind: int) -> list[int]:
        actual, size = ctypes.c_ulong(), ctypes.c_int()
        count, after = ctypes.c_ulong(), ctypes.c_ulong()
        data = ctypes.POINTER(ctypes.c_ulong)()
        failed = self._x11.XGetWindowProperty(
            self._display, window, name, 0, _LENGTH, 0, kind, ctypes.byref(actual),
            ctypes.byref(size), ctypes.byref(count), ctypes.byref(after), ctypes.byref(data),
        )  # fmt: skip
        if failed or not data:
            return []
        found = [data[n] for n in range(count.value)] if size.value == 32 else []
        self._x11.XFree(data)
        return found
