# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of the networks: what there is to draw, where it goes, as SVG and as text. Pure."""
