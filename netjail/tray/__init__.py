# SPDX-License-Identifier: GPL-3.0-or-later
"""The icon in the panel: what is up at a glance, and the usual things by a click."""
