# SPDX-License-Identifier: GPL-3.0-or-later
"""What a profile is: model, keys, TOML, import and export, the store. Pure: no network, no root."""
