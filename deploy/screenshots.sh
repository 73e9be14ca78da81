#!/usr/bin/env bash
# Makes the pictures of the local page in deploy/screenshots: healthy, dongle missing, broker away; desktop, dark, phone.
set -euo pipefail
. "$(dirname "$0")/prepare.sh" gcc=cc make=make cmake=cmake pkg-config=pkg-config libssl-dev=/usr/include/openssl/ssl.h \
    mosquitto=/usr/sbin/mosquitto chromium-headless-shell=chromium-headless-shell fonts-dejavu-core=/usr/share/fonts/truetype/dejavu
mkdir -p deploy/screenshots
OMNIGATE_SCREENSHOTS="$PWD/deploy/screenshots" \
    cargo test --locked --features fault-injection --test promises pictures -- --ignored --nocapture
