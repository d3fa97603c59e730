# SPDX-License-Identifier: GPL-3.0-or-later
"""The leak check: what a program sees and reaches, inside and outside, and what that means."""
