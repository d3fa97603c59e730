# SPDX-License-Identifier: GPL-3.0-or-later
"""Applications as the desktop knows them, and what it takes to start them in a jail."""
