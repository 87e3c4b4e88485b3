#!/bin/sh
# Installs the Debian packages that the tests need and that are missing: real tools instead of stand-ins.
set -eu
packages="chromium cloud-init docker.io e2fsprogs fonts-dejavu-core gpg git iproute2 iptables openssh-client openssh-server
pebble postgresql qemu-system-x86 quota restic shellcheck sqlite3 systemd ufw"
missing=
for package in $packages; do
	dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "test-machine: these Debian packages are missing:$missing. Fix: install them, or run this as root." >&2
	exit 1
fi
echo "test-machine: installing$missing"
apt-get update -qq
# Nothing that comes with it is started: the tests start what they need.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod +x /usr/sbin/policy-rc.d
trap 'rm -f /usr/sbin/policy-rc.d' EXIT
# shellcheck disable=SC2086  # names without spaces
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
