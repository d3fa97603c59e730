# SPDX-License-Identifier: GPL-3.0-or-later
"""Every fixed name in one place: paths, interface names, limits.

Imported on the launch path, hence it imports nothing and computes nothing slow.
"""

PROTOCOL = 1
"""Version of the socket protocol and of the --json envelope."""

CONFIG_DIR = "/etc/netjail"
PROFILE_DIR = "/etc/netjail/profiles"
"""Root-only directory (0700) with one NAME.toml (0600) per profile."""
SWITCH_DIR = "/etc/netjail/switches"
"""The same for switches."""

STATE_DIR = "/var/lib/netjail"
"""What is remembered beyond the next boot and is nobody's to edit; `places` in it is root's."""
RUN_DIR = "/run/netjail"
"""0755. Everything below is ours; gone after a reboot, like the jails themselves."""
SOCKET = "/run/netjail/socket"
HELPER_LOCK = "/run/netjail/helper.lock"
"""The helper holds an exclusive flock(2) on it as long as it lives."""
HELPER_LOG = "/run/netjail/netjaild.log"
JAILS_DIR = "/run/netjail/jails"
"""0700. JAILS_DIR/NAME/ holds `record.json` (what was wanted and what we own), `enter` (see
`launch.enter`; exists exactly while the jail may be entered) and the logs of its processes."""
SWITCHES_DIR = "/run/netjail/switches"
"""0700. SWITCHES_DIR/NAME/ is to a switch what JAILS_DIR/NAME/ is to a jail."""
VIEW_DIR = "/run/netjail/view"
"""0755. VIEW_DIR/NAME/ is what programs in the jail see in place of the host's files."""
LOGS_DIR = "/run/netjail/logs"
"""0700. LOGS_DIR/NAME: the last lines of what has happened to a profile, as JSON."""
TUNNELS_DIR = "/run/netjail/tunnels"
"""0711. TUNNELS_DIR/NAME/ belongs to the user that runs the client of profile NAME, and to nobody
else: its sockets are there."""

BUS_NAME = "org.netjail.Netjail1"
"""On the system bus. The object at BUS_PATH is the manager, BUS_PATH/profile/NAME a profile."""
BUS_PATH = "/org/netjail/Netjail1"
BUS_MANAGER = "org.netjail.Netjail1.Manager"
BUS_PROFILE = "org.netjail.Netjail1.Profile"
"""Our interfaces. data/dbus/ lets nobody send to any but these and the standard ones."""

ACTION_RUN = "org.netjail.run"
"""Use a profile: bring it up, start programs in it, take it down."""
ACTION_CONTROL = "org.netjail.control"
"""Stop what another user runs in it."""
ACTION_MANAGE_OWN = "org.netjail.manage-own"
"""Add, change, remove, export a profile that belongs to oneself alone and touches no device."""
ACTION_MANAGE = "org.netjail.manage"
"""The same with all other profiles, switches, devices."""
ACTION_REVEAL = "org.netjail.reveal"
"""See the secrets of a shared profile."""
ACTION_CAPTURE = "org.netjail.capture"
"""See what goes over the network of a profile that others may use, too."""
ACTIONS = {
    ACTION_RUN: ("auth_admin", "auth_admin", "yes"),
    ACTION_CONTROL: ("auth_admin_keep", "auth_admin_keep", "auth_admin_keep"),
    ACTION_MANAGE_OWN: ("auth_admin", "auth_admin", "yes"),
    ACTION_MANAGE: ("auth_admin_keep", "auth_admin_keep", "auth_admin_keep"),
    ACTION_REVEAL: ("auth_admin", "auth_admin", "auth_admin"),
    ACTION_CAPTURE: ("auth_admin", "auth_admin", "auth_admin"),
}
"""polkit action to its defaults (any, inactive session, active session). data/polkit/ says the
same to polkit. No `_keep` where yes is an answer: polkit remembers per action, not per profile."""
ACTION_DETAILS = ("profile", "uplink")
"""Details that every check passes: the policy's messages and polkit rules refer to them."""

NETNS_DIR = "/run/netns"
"""Where ip-netns(8) keeps its names; ours appear there too."""
NETNS_ETC_DIR = "/etc/netns"
NETNS_PREFIX = "netjail-"

HOST_IF_PREFIX = "nj-"
"""Start of the name of every interface we make in the host namespace."""
LINK_GROUP = 0x6E6A
"""Interface group (ip-link(8) `group`) of every interface we make: the mark of ownership."""
NFT_TABLE = "netjail"

TUNNEL_IF = "wg0"
"""Name of a WireGuard interface inside its jail."""
TUN_IF = "tun0"
"""Name of the interface of OpenVPN and OpenConnect inside a jail."""
VETH_IF = "eth0"
"""Name of the veth end inside a jail."""

NAME_MAX = 31
NAME_PATTERN = r"[a-z0-9][a-z0-9_-]{0,30}"
"""What a profile name matches, in full."""

UP_WAIT = 5.0
"""Seconds that `netjail up` waits for a tunnel's first handshake if not told otherwise."""

REPAIRING = "it is being started again"
"""The reason of a jail that is `starting` because it had failed, not because somebody asked."""

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_BUG = 3
EXIT_RUN_FAILED = 125
"""`run` and `shell`: netjail failed before the application started."""
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127
EXIT_INTERRUPTED = 130

_FIRST = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_REST = _FIRST | frozenset("_-")

_HABITS = """
Discord Postman Telegram Thunar abrowser basilisk betterbird bitwarden bitwarden-desktop
brave brave-browser brave-browser-stable chromium chromium-browser code code-insiders
code-oss codium cursor deluge deluge-gtk dino dino-im discord discord-canary discord-ptb
element-desktop emacsclient epiphany epiphany-browser evince evolution falkon firefox
firefox-beta firefox-bin firefox-devedition firefox-developer-edition firefox-esr
firefox-nightly flatpak floorp footclient fractal fragments geary gedit ghostty
gnome-console gnome-maps gnome-software gnome-terminal gnome-terminal.wrapper
gnome-text-editor gnome-www-browser google-chrome google-chrome-beta google-chrome-stable
google-chrome-unstable icecat kgx konsole kotatogram-desktop libreoffice librewolf lobase
localc lodraw loimpress lomath lowriter lxterminal mate-terminal mate-terminal.wrapper
mattermost-desktop microsoft-edge microsoft-edge-beta microsoft-edge-dev
microsoft-edge-stable nautilus nemo obsidian opera opera-beta opera-developer opera-stable
palemoon pidgin postman ptyxis qbittorrent qutebrowser rhythmbox rhythmbox-client seamonkey
sensible-browser signal-desktop signal-desktop-beta slack snap soffice spotify steam
steam-native steam-runtime teams-for-linux telegram telegram-desktop terminator
terminator.wrapper thunar thunderbird thunderbird-bin thunderbird-esr tilix tilix.wrapper
transmission-gtk transmission-qt ungoogled-chromium urxvtc vesktop vivaldi vivaldi-snapshot
vivaldi-stable vscodium waterfox wezterm-gui wine wine-development wine-stable wine64
wineconsole winetricks x-terminal-emulator x-www-browser xfce4-terminal
xfce4-terminal.wrapper zen zen-bin zen-browser zoom
"""
"""Names of the programs of data/apps.toml and netjail.desktop.commands (a test compares them). One
text, which is read faster than as many as it has words."""


def valid_name(name: str) -> bool:
    """Whether `name` may be a profile's name (NAME_PATTERN, without importing re)."""
    return 0 < len(name) <= NAME_MAX and name[0] in _FIRST and _REST.issuperset(name)


def netns_name(profile: str) -> str:
    """The ip-netns(8) name of a profile's namespace."""
    return NETNS_PREFIX + profile


def switch_netns(switch: str) -> str:
    """The ip-netns(8) name of a switch's namespace; no profile's name has a dot."""
    return f"{NETNS_PREFIX}switch.{switch}"


def switch_dir(switch: str) -> str:
    """Root-only directory of a switch that is up."""
    return f"{SWITCHES_DIR}/{switch}"


def jail_dir(profile: str) -> str:
    """Root-only directory of a live jail."""
    return f"{JAILS_DIR}/{profile}"


def enter_file(profile: str) -> str:
    """The file that says how to enter the jail; exists exactly while it may be entered."""
    return f"{JAILS_DIR}/{profile}/enter"


def tunnel_dir(profile: str) -> str:
    """Directory of a VPN client's sockets."""
    return f"{TUNNELS_DIR}/{profile}"


def view_dir(profile: str) -> str:
    """World-readable directory with the files a jail sees."""
    return f"{VIEW_DIR}/{profile}"


def port_file(profile: str) -> str:
    """World-readable file with the port that the provider lends; there while it does."""
    return f"{VIEW_DIR}/{profile}/port"


def bus_filter(profile: str, argv: list[str]) -> list[str]:
    """`argv` with what puts a filter between it and the session bus in front, and becomes it."""
    import sys

    package = __file__.rpartition("/")[0]
    return [sys.executable, "-I", f"{package}/desktop/busfilter.py", profile, *argv]


def has_habits(program: str) -> bool:
    """Whether a program may hand its job to a copy of itself, or is an entry of the menu."""
    name = program.rpartition("/")[2]
    if name.endswith((".desktop", ".AppImage", ".appimage")):
        return True
    return name in _HABITS and name in _HABITS.split()
