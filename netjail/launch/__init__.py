# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting an application inside a jail. Standard library only."""
