# SPDX-License-Identifier: GPL-3.0-or-later
"""What carries single services across a jail's wall: programs of their own, stdlib only."""
