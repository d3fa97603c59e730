# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail demo`: a little internet in throw-away namespaces, and the story told on it.

The same stage carries the network tests (tests/netns).
"""
