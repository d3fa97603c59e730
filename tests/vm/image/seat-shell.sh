#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The login program of the session on tty1: does in it what suites ask for (guest/seat.py).
while [ ! -e /run/netjail-tests/ready ]; do sleep 0.2; done
exec python3 -B /mnt/tests/seat.py
