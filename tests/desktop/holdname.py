# SPDX-License-Identifier: GPL-3.0-or-later
"""holdname.py NAME: has a name on the session bus, and answers Ping on it."""

from __future__ import annotations

import sys

from gi.repository import Gio, GLib

Gio.bus_own_name(
    Gio.BusType.SESSION,
    sys.argv[1],
    Gio.BusNameOwnerFlags.NONE,
    None,
    lambda *_: print("ready", flush=True),
    lambda *_: (print("refused", flush=True), sys.exit(1)),
)
GLib.MainLoop().run()
