#!/usr/bin/env bash
# Installs, upgrades and purges the Debian package in a clean Debian root made by debootstrap. As root.
# usage: deploy/test-package.sh PACKAGE.deb
set -euo pipefail
package=$(realpath "${1:?usage: deploy/test-package.sh PACKAGE.deb}")
. "$(dirname "$0")/prepare.sh" debootstrap=/usr/sbin/debootstrap
root=$(mktemp -d)
log=$(mktemp)
# What apt and dpkg print is only of interest if they fail.
trap 'rm -rf "$root" "$log"' EXIT
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -n 1)
quietly() { "$@" >"$log" 2>&1 || { tail -n 30 "$log" >&2; exit 1; }; }
quietly debootstrap --variant=minbase "$suite" "$root" "$mirror"
cp "$package" "$root/omnigate.deb"
inside() { chroot "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"; }
apt() { quietly inside apt-get -y -o Dpkg::Use-Pty=0 -o APT::Sandbox::User=root "$@"; }
expect() { "${@:2}" || { echo "failed: $1" >&2; exit 1; }; }
is_gone() { for path; do [ ! -e "$root$path" ] || { echo "still there: $path" >&2; return 1; }; done; }

apt update
apt install --no-install-recommends /omnigate.deb
expect "it runs" inside omnigate --version
expect "its settings have no mistakes" inside omnigate check-config
expect "a manual page" test -s "$root/usr/share/man/man1/omnigate.1.gz"
expect "completions" inside bash -n /usr/share/bash-completion/completions/omnigate
expect "the unit" test -s "$root/usr/lib/systemd/system/omnigate.service"
expect "the udev rule" test -s "$root/usr/lib/udev/rules.d/60-omnigate.rules"
echo "installed"

# What the operator wrote survives an upgrade.
echo '# mine' >>"$root/etc/omnigate/omnigate.toml"
mkdir "$root/tmp/next"
inside dpkg-deb --raw-extract /omnigate.deb /tmp/next
sed -i 's/^Version: .*/Version: 99.0.0-1/' "$root/tmp/next/DEBIAN/control"
quietly inside dpkg-deb --build /tmp/next /next.deb
apt install --no-install-recommends /next.deb
expect "the new version" inside sh -c 'dpkg-query -W omnigate | grep -q 99.0.0'
expect "the operator's settings are kept" grep -q '# mine' "$root/etc/omnigate/omnigate.toml"
echo "upgraded"

apt remove omnigate
expect "the program is gone" is_gone /usr/bin/omnigate
expect "the operator's settings are kept when it is removed" test -s "$root/etc/omnigate/omnigate.toml"
mkdir -p "$root/var/lib/private/omnigate"
ln -s private/omnigate "$root/var/lib/omnigate"
apt purge omnigate
expect "nothing is left, keys least of all" is_gone /etc/omnigate /var/lib/omnigate /var/lib/private/omnigate
echo "removed and purged"
