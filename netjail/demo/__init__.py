# SPDX-License-Identifier: GPL-3.0-or-later
"""A little internet in throw-away namespaces, for the demonstration and for the tests."""
