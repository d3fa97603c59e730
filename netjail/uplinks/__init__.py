# SPDX-License-Identifier: GPL-3.0-or-later
"""One file per kind of uplink. Each describes what it wants; none acts."""
