#!/usr/bin/env bash
# Builds omnigate and runs every test. The tests start their own brokers on free ports of the loopback address.
# Arguments go to `cargo test`, for example: deploy/test.sh --test promises
set -euo pipefail
. "$(dirname "$0")/prepare.sh" gcc=cc make=make cmake=cmake pkg-config=pkg-config libssl-dev=/usr/include/openssl/ssl.h \
    openssl=openssl mosquitto=/usr/sbin/mosquitto \
    chromium-headless-shell=chromium-headless-shell prometheus=promtool \
    rsyslog=/usr/sbin/rsyslogd systemd=systemd-analyze
cargo test --locked --workspace --features fault-injection "$@"
