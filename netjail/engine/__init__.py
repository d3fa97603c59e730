# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan, execute, observe, undo: the only place that changes the network."""
