# SPDX-License-Identifier: GPL-3.0-or-later
"""netjail: network profiles for Linux, each in a network namespace of its own."""

__version__ = "0.1.0"
