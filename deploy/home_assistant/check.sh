#!/usr/bin/env bash
# Has Home Assistant itself read the descriptions that omnigate makes: installs it, writes the descriptions and checks them with its schemas.
# On demand: takes ten minutes and a gigabyte. What Home Assistant allows is kept in classes.json, with which the usual tests compare.
#
#   deploy/home_assistant/check.sh [FOLDER]     root, debootstrap and the network are needed; FOLDER keeps the Debian for the next time
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
version=2026.2.3
folder=${1:-$(mktemp -d)}
root=$folder/debian

# It needs Python 3.13.2, newer than what stable systems have; Debian trixie has it.
if [ ! -x "$root/ha/bin/python" ]; then
    debootstrap --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates trixie "$root"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    chroot "$root" python3 -m venv /ha
    # Its exact list of packages is for a whole installation and needs a compiler; the schemas need these, and are not particular.
    chroot "$root" /ha/bin/pip install --quiet --no-deps "homeassistant==$version"
    chroot "$root" sh -c "/ha/bin/python -c '
from importlib.metadata import requires
for line in requires(\"homeassistant\"):
    if \"extra ==\" not in line and not line.startswith(\"uv=\"):
        print(line.split(\"==\")[0] if line.startswith((\"lru-dict\", \"zeroconf\")) else line)
' > /packages && /ha/bin/pip install --quiet --prefer-binary -r /packages paho-mqtt"
fi

cd "$here/../.."
OMNIGATE_DESCRIPTIONS=$folder/descriptions.jsonl cargo test --locked -p omnigate-actors --features fault-injection --lib home_assistant
cp "$here/check.py" "$folder/descriptions.jsonl" "$root/tmp/"
chroot "$root" /ha/bin/python /tmp/check.py /tmp/descriptions.jsonl
chroot "$root" /ha/bin/python /tmp/check.py --classes | diff - "$here/classes.json"
echo "classes.json is what Home Assistant $version allows"
