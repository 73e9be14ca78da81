#!/usr/bin/env bash
# Has Home Assistant itself read the descriptions that omnigate makes: installs it, writes the descriptions and checks them with its schemas.
# On demand: takes ten minutes and a gigabyte. What Home Assistant allows is kept in classes.json, with which the usual tests compare.
#
#   deploy/home_assistant/check.sh [FOLDER]     root, debootstrap and the network are needed; FOLDER keeps the Debian for the next time
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$(mktemp -d)}
. "$here/install.sh" "$folder"

cd "$here/../.."
OMNIGATE_DESCRIPTIONS=$folder/descriptions.jsonl cargo test --locked -p omnigate-actors --features fault-injection --lib home_assistant
cp "$here/check.py" "$folder/descriptions.jsonl" "$root/tmp/"
chroot "$root" /ha/bin/python /tmp/check.py /tmp/descriptions.jsonl
chroot "$root" /ha/bin/python /tmp/check.py --classes | diff - "$here/classes.json"
echo "classes.json is what Home Assistant $version allows"
