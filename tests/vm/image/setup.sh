#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs in the image, in a chroot without a network, as its last layer is made: $1 is the Debian.
set -eu
suite=$1
vm=$(dirname "$0")

# Nothing may start: there is no system yet.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
dpkg --install "$vm/netjail.deb"
rm /usr/sbin/policy-rc.d

# Two ordinary users. alice, who may administer the machine, sits at it: tty1 logs her in, which is a
# session on seat0. A suite may let bob sit there instead (guest/seated.py).
for user in alice bob; do
    useradd --create-home --shell /bin/bash "$user"
    # A password that tests can type at a prompt: the user's name.
    echo "$user:$user" | chpasswd
done
groupadd --force netjailers
usermod --append --groups netjailers,sudo alice
echo 'alice ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/alice
chmod 440 /etc/sudoers.d/alice
echo 'root:root' | chpasswd
install -D -m 644 "$vm/autologin.conf" /etc/systemd/system/getty@tty1.service.d/autologin.conf
install -m 755 "$vm/seat-shell.sh" /usr/local/bin/seat-shell
for user in alice bob; do
    printf '\n[ "$(tty)" != /dev/tty1 ] || exec seat-shell\n' >>"/home/$user/.profile"
done

# Sessions without a seat come by ssh, from root to both users.
systemctl disable ssh.service
systemctl enable ssh.socket
install -d -m 700 /root/.ssh
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
for user in alice bob; do
    install -d -m 700 -o "$user" -g "$user" "/home/$user/.ssh"
    install -m 600 -o "$user" -g "$user" /root/.ssh/id_ed25519.pub "/home/$user/.ssh/authorized_keys"
done
sed 's/^/localhost /' /etc/ssh/ssh_host_ed25519_key.pub >/root/.ssh/known_hosts

# The host's networks are NetworkManager's on Debian 12, systemd-networkd's on Debian 13; both are
# there on both.
systemctl enable systemd-resolved.service
if [ "$suite" = bookworm ]; then
    systemctl enable NetworkManager.service
    systemctl disable systemd-networkd.service
else
    systemctl disable NetworkManager.service
    systemctl enable systemd-networkd.service
fi
# There for the suites that start them, or load what they need.
systemctl disable apparmor.service openvswitch-switch.service openvpn.service
systemctl mask NetworkManager-wait-online.service systemd-networkd-wait-online.service \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer systemd-timesyncd.service man-db.timer \
    NetworkManager-dispatcher.service ModemManager.service keyboard-setup.service \
    dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    sys-kernel-config.mount sys-fs-fuse-connections.mount systemd-binfmt.service \
    modprobe@configfs.service modprobe@drm.service modprobe@fuse.service \
    modprobe@dm_mod.service modprobe@loop.service modprobe@efi_pstore.service \
    systemd-pstore.service systemd-update-utmp.service systemd-network-generator.service \
    console-setup.service

install -D -m 755 "$vm/start.sh" /usr/local/lib/netjail-tests/start
install -m 644 "$vm/netjail-tests.service" /etc/systemd/system/netjail-tests.service
systemctl enable netjail-tests.service
mkdir -p /var/lib/netjail-tests /mnt/tests /mnt/results

# Kept in memory only: the runner hands the journal over.
install -d /etc/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\nRateLimitBurst=0\n' >/etc/systemd/journald.conf.d/vm.conf
